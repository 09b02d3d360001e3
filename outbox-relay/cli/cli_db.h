/* What the commands other than `run` need of the database: one connection, statements, and a reason
 * for people when one fails. A pool that passes sessions on may be between. */
#ifndef RELAY_CLI_DB_H
#define RELAY_CLI_DB_H

#include "outbox-relay/cli/cli.h"
#include "shared/base/cleanup.h"

#include <libpq-fe.h>

/* The option every such command has: the outbox's database. */
#define CLI_SOURCE_OPTION \
    { \
        .name = "source", .type = CLI_TEXT, .metavar = "DSN", .common = true, .required = true, \
        .environment = "OUTBOX_RELAY_SOURCE", .check = cli_check_source, \
        .help = "database of the outbox, as a libpq connection string or URI" \
    }

/* Whether a text has the form of a connection string, whatever it leads to. If not, the mistake is
 * libpq's reason without the text itself, which may contain a password. */
bool cli_check_dsn(const char *text, char ret_mistake[CLI_MISTAKE_SIZE]);

/* The same for --source; says so when a NAME=DSN was given, as `run` takes it. For cli_option. */
bool cli_check_source(const char *text, char ret_mistake[CLI_MISTAKE_SIZE]);

/* Whether a text is a connection string where NAME=DSN should be. */
bool cli_lacks_name(const char *text);

/* Connects to --source. Returns NULL after telling why on stderr; else the caller's to PQfinish. */
PGconn *cli_connect(const struct cli_arguments *arguments);

/* Begin and end a transaction of several statements. Return false after telling why on stderr. */
MUST_CHECK bool cli_begin(const struct cli_arguments *arguments, PGconn *connection);
MUST_CHECK bool cli_commit(const struct cli_arguments *arguments, PGconn *connection);

/* Writes out what was printed, and only then commits: a secret that nobody could see must not come
 * into force. Returns a cli_exit, not CLI_OK after telling why; when the output is lost, after
 * rolling back. */
MUST_CHECK int cli_commit_shown(const struct cli_arguments *arguments, PGconn *connection);

/* Runs a statement with text parameters (NULL is SQL null), in a transaction of its own when none
 * has begun. Returns NULL after telling why on stderr, the server's message and hint, and rolling
 * back; else the caller's to PQclear. A database without the outbox is told so. */
PGresult *cli_query(const struct cli_arguments *arguments, PGconn *connection, const char *sql,
    const char *const *parameters, int count);

/* Whether the server reads the value of an option, which may be absent, as the command means it:
 * `sql` casts $1 and returns whether it will do. Returns a cli_exit, not CLI_OK after saying that
 * it is not `wanted`. */
MUST_CHECK int cli_check_value(const struct cli_arguments *arguments, PGconn *connection,
    const char *option, const char *sql, const char *wanted);

/* Whether there is a subscription of that name, NULL for any. Returns a cli_exit, not CLI_OK after
 * telling that there is none. A database without subscriptions is no mistake, a name is. */
MUST_CHECK int cli_check_subscription(
    const struct cli_arguments *arguments, PGconn *connection, const char *name);

/* Connects, runs one statement and disconnects. The same results. */
PGresult *cli_run_query(const struct cli_arguments *arguments, const char *sql,
    const char *const *parameters, int count);

static inline void cli_cleanup_connection(PGconn **connection)
{
    PQfinish(*connection);
}
#define AUTO_CONNECTION __attribute__((cleanup(cli_cleanup_connection)))

#endif
