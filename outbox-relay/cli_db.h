/* What the commands other than `run` need of the database: one connection, one statement, and a
 * reason for people when it fails. */
#ifndef RELAY_CLI_DB_H
#define RELAY_CLI_DB_H

#include "outbox-relay/cli.h"

#include <libpq-fe.h>

/* The option every such command has: the outbox's database. */
#define CLI_SOURCE_OPTION \
    { \
        .name = "source", .type = CLI_TEXT, .metavar = "DSN", .required = true, \
        .environment = "OUTBOX_RELAY_SOURCE", \
        .help = "database of the outbox: a libpq connection string or URI" \
    }

/* Connects to --source. Returns NULL after telling why on stderr; else the caller's to PQfinish. */
PGconn *cli_connect(const struct cli_arguments *arguments);

/* Runs a statement with text parameters (NULL is SQL null). Returns NULL after telling why on
 * stderr, the server's message and hint; else the caller's to PQclear. A database without the
 * outbox is told so. */
PGresult *cli_query(const struct cli_arguments *arguments, PGconn *connection, const char *sql,
    const char *const *parameters, int count);

/* Connects, runs one statement and disconnects. The same results. */
PGresult *cli_run_query(const struct cli_arguments *arguments, const char *sql,
    const char *const *parameters, int count);

static inline void cli_cleanup_connection(PGconn **connection)
{
    PQfinish(*connection);
}
#define AUTO_CONNECTION __attribute__((cleanup(cli_cleanup_connection)))

#endif
