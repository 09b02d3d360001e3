/* outbox-relay init: installs the outbox into a database, or brings it up to date. */
#include "outbox-relay/cli/cli_db.h"
#include "outbox-relay/cli/commands.h"
#include "outbox-relay/cli/emit_function.h"
#include "shared/base/cleanup.h"

#include "outbox-relay/base/locks.h"
#include "shared/base/log.h"
#include "shared/db/migrate.h"
#include "shared/db/result.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* The migrations need functions with a body in SQL's own syntax. */
#define SERVER_MIN 140000

static int check_server(const struct cli_arguments *arguments, PGconn *connection)
{
    if (PQserverVersion(connection) >= SERVER_MIN)
        return CLI_OK;
    return cli_complain(arguments, CLI_FAILED,
        "the outbox needs PostgreSQL %d or newer; this server is %s", SERVER_MIN / 10000,
        PQparameterStatus(connection, "server_version"));
}

static int apply(const struct cli_arguments *arguments, struct db *db)
{
    int applied = 0;
    int error = migrate(db, &sql_outbox, &applied);
    if (error == -EINVAL)
        return cli_complain(arguments, CLI_FAILED,
            "nothing was changed: the outbox was installed by a build with different migrations");
    if (error)
        return cli_complain(arguments, CLI_FAILED, "%s", db_error(db));
    if (applied > 0)
        printf("outbox installed: %d migration%s applied\n", applied, applied == 1 ? "" : "s");
    else
        printf("the outbox is up to date\n");
    return CLI_OK;
}

/* `roles`: their names, each after a space. */
static void print_missing_roles(const char *roles)
{
    puts("group roles: missing; the owner of the database can work without them.\n"
         "To give other logins only the rights they need, let a role with CREATEROLE run");
    for (const char *role = roles; *role;) {
        role += strspn(role, " ");
        int length = (int)strcspn(role, " ");
        printf("    create role %.*s nologin;\n", length, role);
        role += length;
    }
    puts("then run 'outbox-relay init' again, which grants the roles their rights, and let the "
         "role\n"
         "that created them grant them to your logins:\n"
         "    grant outbox_relay to LOGIN;");
}

/* The migrations are recorded outside the schema, so dropping the schema alone confuses init. */
static int check_schema(const struct cli_arguments *arguments, PGconn *connection)
{
    AUTO_RESULT PGresult *result =
        cli_query(arguments, connection, "select to_regnamespace('outbox') is not null", NULL, 0);
    if (!result)
        return CLI_FAILED;
    if (*PQgetvalue(result, 0, 0) == 't')
        return CLI_OK;
    return cli_complain(arguments, CLI_FAILED,
        "the schema outbox was dropped, but public.schema_migration still records it: run \"delete "
        "from public.schema_migration where set_name = 'outbox'\", then outbox-relay init again");
}

/* Grants change catalog rows, on which a second init would fail while it is at it: it waits, by the
 * lock of outbox.maintain(), which creates tables. */
static PGresult *query_grant_roles(const struct cli_arguments *arguments, PGconn *connection)
{
    static const char lock[] = "select pg_advisory_xact_lock(" MAINTENANCE_LOCK ")";
    if (!cli_begin(arguments, connection))
        return NULL;
    AUTO_RESULT PGresult *locked = cli_query(arguments, connection, lock, NULL, 0);
    PGresult *result =
        locked ? cli_query(arguments, connection, "select outbox.grant_roles()", NULL, 0) : NULL;
    if (!result || cli_commit(arguments, connection))
        return result;
    PQclear(result);
    return NULL;
}

static int grant_roles(const struct cli_arguments *arguments, PGconn *connection)
{
    AUTO_RESULT PGresult *result = query_grant_roles(arguments, connection);
    if (!result)
        return CLI_FAILED;
    const char *missing = strchr(PQgetvalue(result, 0, 0), ':');
    if (missing)
        print_missing_roles(missing + 1);
    else
        puts("group roles: all there, with their rights granted");
    return CLI_OK;
}

static int choose_emit(const struct cli_arguments *arguments, PGconn *connection)
{
    const char *library = cli_text(arguments, "native-library");
    if (cli_flag(arguments, "no-native"))
        return emit_make_plpgsql(arguments, connection);
    if (library || cli_flag(arguments, "native"))
        return emit_make_native(arguments, connection, library);
    return CLI_OK;
}

static int run_init(const struct cli_arguments *arguments)
{
    if (cli_flag(arguments, "no-native") &&
        (cli_flag(arguments, "native") || cli_text(arguments, "native-library")))
        return cli_complain(
            arguments, CLI_USAGE_ERROR, "--native and --no-native exclude each other");
    log_init("outbox-relay", LOG_LEVEL_ERROR); /* what is done is printed */
    /* Says why when it cannot connect; the pool would not. */
    AUTO_CONNECTION PGconn *connection = cli_connect(arguments);
    int status = connection ? check_server(arguments, connection) : CLI_FAILED;
    if (status)
        return status;
    struct db_pool *pool = db_pool_new(cli_text(arguments, "source"), "outbox-relay", 1, 10000);
    struct db *db;
    if (!pool || db_acquire(pool, &db)) {
        status = cli_complain(arguments, CLI_FAILED, "lost the connection to the database");
    } else {
        status = apply(arguments, db);
        db_release(db);
    }
    db_pool_free(pool);
    if (!status)
        status = check_schema(arguments, connection);
    if (!status)
        status = grant_roles(arguments, connection);
    return status ? status : choose_emit(arguments, connection);
}

static const struct cli_option options[] = {
    CLI_SOURCE_OPTION,
    {.name = "native",
        .type = CLI_FLAG,
        .help = "switch outbox.emit to the native function of the installed library; needs a "
                "superuser"},
    {.name = "native-library",
        .type = CLI_TEXT,
        .metavar = "PATH",
        .help = "the same, with the library at this path on the database server"},
    {.name = "no-native",
        .type = CLI_FLAG,
        .help = "switch outbox.emit back to the PL/pgSQL function"},
};

const struct cli_command CMD_INIT = {
    .name = "init",
    .operands = "",
    .summary = "install the outbox in a database, or upgrade it",
    .details =
        "Creates the schema outbox and the table public.schema_migration, which records what has "
        "been installed. Needs PostgreSQL 14 or newer, but no superuser: run it as the owner of "
        "the database. Safe to run again, or several at once.\n\n"
        "The group roles outbox_emitter, outbox_relay, outbox_operator and outbox_reader are "
        "created if your role has CREATEROLE; each is granted what it needs. If they are missing, "
        "init prints the SQL to create them and still exits with status 0.\n\n"
        "By default outbox.emit is a PL/pgSQL function, which needs no library on the server. The "
        "native function takes the same arguments and writes the same rows. Install the outbox as "
        "the owner before you switch: whoever installs it owns it.",
    .options = options,
    .option_count = ARRAY_SIZE(options),
    .run = run_init,
};
