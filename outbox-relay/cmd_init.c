/* outbox-relay init: installs the outbox into a database, or brings it up to date. */
#include "outbox-relay/cli_db.h"
#include "outbox-relay/commands.h"
#include "outbox-relay/emit_function.h"

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
        "PostgreSQL %d or newer is needed; this server is %s", SERVER_MIN / 10000,
        PQparameterStatus(connection, "server_version"));
}

static int apply(const struct cli_arguments *arguments, struct db *db)
{
    int applied = 0;
    int error = migrate(db, &sql_outbox, &applied);
    if (error == -EINVAL)
        return cli_complain(arguments, CLI_FAILED,
            "the outbox in this database was installed by another build of this version");
    if (error)
        return cli_complain(arguments, CLI_FAILED, "%s", db_error(db));
    if (applied > 0)
        printf("outbox installed: %d migration%s applied\n", applied, applied == 1 ? "" : "s");
    else
        printf("outbox is up to date\n");
    return CLI_OK;
}

static int grant_roles(const struct cli_arguments *arguments, PGconn *connection)
{
    AUTO_RESULT PGresult *result =
        cli_query(arguments, connection, "select outbox.grant_roles()", NULL, 0);
    if (!result)
        return CLI_FAILED;
    const char *outcome = PQgetvalue(result, 0, 0);
    printf("roles: %s\n", outcome);
    if (strncmp(outcome, "missing", strlen("missing")) == 0)
        puts("  (the owner of the database needs none of them; for logins with fewer rights, let a "
             "role "
             "with CREATEROLE make them, and run init again)");
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
        return cli_complain(arguments, CLI_WRONG_USE, "--native or --no-native, not both");
    log_init("outbox-relay", LOG_LEVEL_ERROR); /* what is done is printed */
    /* Tells why when it can't connect; the pool would not. */
    AUTO_CONNECTION PGconn *connection = cli_connect(arguments);
    int status = connection ? check_server(arguments, connection) : CLI_FAILED;
    if (status)
        return status;
    struct db_pool *pool = db_pool_new(cli_text(arguments, "source"), "outbox-relay", 1, 10000);
    struct db *db;
    if (!pool || db_acquire(pool, &db)) {
        status = cli_complain(arguments, CLI_FAILED, "the database does not answer any more");
    } else {
        status = apply(arguments, db);
        db_release(db);
    }
    db_pool_free(pool);
    if (!status)
        status = grant_roles(arguments, connection);
    return status ? status : choose_emit(arguments, connection);
}

static const struct cli_option options[] = {
    CLI_SOURCE_OPTION,
    {.name = "native",
        .type = CLI_FLAG,
        .help = "make outbox.emit the function of the installed library; needs a superuser"},
    {.name = "native-library",
        .type = CLI_TEXT,
        .metavar = "PATH",
        .help = "the same, with the library of this path on the database's host"},
    {.name = "no-native", .type = CLI_FLAG, .help = "make outbox.emit the PL/pgSQL function again"},
};

const struct cli_command CMD_INIT = {
    .name = "init",
    .operands = "",
    .summary = "install the outbox into a database, or bring it up to date",
    .details =
        "Creates the schema outbox with its tables, functions and views, as the owner of the\n"
        "database; no superuser is needed, but PostgreSQL 14 or newer. Harmless twice and in\n"
        "parallel. The group roles outbox_emitter, outbox_relay, outbox_operator and\n"
        "outbox_reader are created where the role may, and get what each needs.\n"
        "\n"
        "outbox.emit is a PL/pgSQL function, which works everywhere. Where the server may load a\n"
        "library, --native replaces it by a faster one that does the same. Install the outbox as\n"
        "the owner of the database first: a superuser would own what it makes.",
    .options = options,
    .option_count = ARRAY_SIZE(options),
    .run = run_init,
};
