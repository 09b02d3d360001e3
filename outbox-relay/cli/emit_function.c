/* Replaces outbox.emit() by the native function, and back. */
#include "outbox-relay/cli/emit_function.h"
#include "outbox-relay/cli/cli_db.h"
#include "shared/base/cleanup.h"

#include "outbox-relay/base/locks.h"
#include "shared/db/migrate.h"
#include "shared/db/result.h"

#include <stdio.h>
#include <string.h>

#define DEFAULT_LIBRARY "$libdir/outbox_emit"

/* It writes the table without asking for permission, so it needs no SECURITY DEFINER, which costs
 * time in each call. */
static const char CREATE_NATIVE[] =
    "create or replace function outbox.emit("
    "    aggregate_type text, aggregate_id text, event_type text, payload jsonb,"
    "    headers jsonb default '{}', lock_key boolean default true)"
    " returns uuid language c volatile parallel unsafe security invoker as %s, 'outbox_emit'";

/* The text of a migration that defines the function, without CREATE; NULL when it does not. */
static const char *find_definition(const struct migration *migration)
{
    static const char *const heads[] = {
        "\ncreate function outbox.emit(", "\ncreate or replace function outbox.emit("};
    for (size_t i = 0; i < ARRAY_SIZE(heads); i++) {
        const char *found = strstr(migration->sql, heads[i]);
        if (found)
            return strstr(found, "function");
    }
    return NULL;
}

/* The newest PL/pgSQL definition among the migrations; the caller's to free. */
static char *plpgsql_definition(void)
{
    static const char end[] = "\n$$;\n";
    const char *newest = NULL;
    for (size_t i = 0; i < sql_outbox.count; i++) {
        const char *found = find_definition(&sql_outbox.migrations[i]);
        if (found)
            newest = found;
    }
    const char *last = newest ? strstr(newest, end) : NULL;
    char *sql = NULL;
    if (!last || asprintf(&sql, "create or replace %.*s", (int)(last - newest + (int)strlen(end)),
                     newest) < 0)
        return NULL;
    return sql;
}

static bool run(const struct cli_arguments *arguments, PGconn *connection, const char *sql)
{
    AUTO_RESULT PGresult *result = cli_query(arguments, connection, sql, NULL, 0);
    return result != NULL;
}

/* Two at a time would fail on the row of the function, so one waits: by outbox.maintain()'s lock.
 */
static int replace(const struct cli_arguments *arguments, PGconn *connection, const char *sql)
{
    bool done = cli_begin(arguments, connection) &&
                run(arguments, connection, "select pg_advisory_xact_lock(" MAINTENANCE_LOCK ")") &&
                run(arguments, connection, sql) && cli_commit(arguments, connection);
    return done ? CLI_OK : CLI_FAILED;
}

static int require_superuser(const struct cli_arguments *arguments, PGconn *connection)
{
    const char *is_superuser = PQparameterStatus(connection, "is_superuser");
    if (is_superuser && strcmp(is_superuser, "on") == 0)
        return CLI_OK;
    return cli_complain(arguments, CLI_FAILED,
        "--native needs a superuser, because the server loads a library: %s is not one",
        PQuser(connection));
}

int emit_make_native(const struct cli_arguments *arguments, PGconn *connection, const char *library)
{
    int status = require_superuser(arguments, connection);
    if (status)
        return status;
    if (!library)
        library = DEFAULT_LIBRARY;
    char *literal = PQescapeLiteral(connection, library, strlen(library));
    AUTO_FREE char *sql = NULL;
    if (!literal || asprintf(&sql, CREATE_NATIVE, literal) < 0)
        sql = NULL;
    PQfreemem(literal);
    if (!sql)
        return cli_complain(arguments, CLI_FAILED, "out of memory");
    if (replace(arguments, connection, sql))
        return cli_complain(arguments, CLI_FAILED,
            "outbox.emit was not changed; 'make install-native' installs the library on the "
            "database server");
    printf("outbox.emit is now native: %s\n", library);
    return CLI_OK;
}

int emit_make_plpgsql(const struct cli_arguments *arguments, PGconn *connection)
{
    AUTO_FREE char *sql = plpgsql_definition();
    if (!sql)
        return cli_complain(arguments, CLI_FAILED, "out of memory");
    int status = replace(arguments, connection, sql);
    if (status == CLI_OK)
        printf("outbox.emit is now PL/pgSQL\n");
    return status;
}
