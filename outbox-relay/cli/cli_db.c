/* What the commands other than `run` need of the database. */
#include "outbox-relay/cli/cli_db.h"
#include "outbox-relay/postgres/pg_conninfo.h"
#include "outbox-relay/postgres/pg_session.h"
#include "shared/db/result.h"

#include <string.h>

/* For the transaction, not the session: a pool may be between, which refuses options at the start
 * and passes a session on to others. */
#define BEGIN "begin isolation level read committed"
#define BEGIN_SETTINGS ";" PG_FIX_TRANSACTION "; set local lock_timeout = '10s'"

/* libpq ends its messages with a line feed, and may put several lines. */
static void write_in_one_line(const char *message, char *line, size_t size)
{
    snprintf(line, size, "%s", message && *message ? message : "out of memory");
    size_t length = strlen(line);
    while (length > 0 && line[length - 1] == '\n')
        line[--length] = '\0';
    for (char *c = line; *c; c++)
        if (*c == '\n' || *c == '\t')
            *c = ' ';
}

static int complain_in_one_line(const struct cli_arguments *arguments, const char *message)
{
    char line[1024];
    write_in_one_line(message, line, sizeof line);
    return cli_complain(arguments, CLI_FAILED, "%s", line);
}

static bool is_uri(const char *text)
{
    return strncmp(text, "postgres://", 11) == 0 || strncmp(text, "postgresql://", 13) == 0;
}

/* Of a URI with another scheme: libpq would take the whole text, password included, for the name of
 * a database. Returns 0 when there is none. */
static int foreign_scheme_length(const char *text)
{
    size_t length =
        strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-.");
    return !is_uri(text) && length > 0 && strncmp(text + length, "://", 3) == 0 ? (int)length : 0;
}

bool cli_check_dsn(const char *text, char ret_mistake[CLI_MISTAKE_SIZE])
{
    int scheme = foreign_scheme_length(text);
    if (scheme > 0) {
        snprintf(ret_mistake, CLI_MISTAKE_SIZE,
            "the URI must begin with postgresql:// or postgres://, not %.*s://",
            scheme < 40 ? scheme : 40, text);
        return false;
    }
    if (!is_uri(text) && !strchr(text, '='))
        return true; /* the name of a database */
    char *error = NULL;
    PQconninfoOption *options = PQconninfoParse(text, &error);
    PQconninfoFree(options);
    write_in_one_line(error, ret_mistake, CLI_MISTAKE_SIZE);
    PQfreemem(error);
    char *quoted = strstr(ret_mistake, ": \"");
    if (quoted)
        *quoted = '\0';
    return options != NULL;
}

/* Whether a connection string begins with this word and '='. */
static bool is_keyword(const char *word, size_t length)
{
    PQconninfoOption *options = PQconndefaults();
    bool found = false;
    for (const PQconninfoOption *option = options; option && option->keyword; option++)
        found |= strlen(option->keyword) == length && strncmp(option->keyword, word, length) == 0;
    PQconninfoFree(options);
    return found;
}

bool cli_lacks_name(const char *text)
{
    char mistake[CLI_MISTAKE_SIZE];
    size_t name = strcspn(text, "=");
    if (is_uri(text) || foreign_scheme_length(text) > 0)
        return true;
    return is_keyword(text, name) && cli_check_dsn(text, mistake) &&
           !cli_check_dsn(text + name + 1, mistake);
}

bool cli_check_source(const char *text, char ret_mistake[CLI_MISTAKE_SIZE])
{
    char mistake[CLI_MISTAKE_SIZE];
    size_t name = strcspn(text, "=");
    if (cli_check_dsn(text, ret_mistake))
        return true;
    bool is_named = text[name] && !is_uri(text) && !is_keyword(text, name) &&
                    (is_uri(text + name + 1) || strchr(text + name + 1, '=')) &&
                    cli_check_dsn(text + name + 1, mistake);
    if (is_named)
        snprintf(ret_mistake, CLI_MISTAKE_SIZE, "only run takes NAME=DSN; leave out \"%.*s=\"",
            (int)(name < 63 ? name : 63), text);
    return false;
}

PGconn *cli_connect(const struct cli_arguments *arguments)
{
    const char *source = cli_text(arguments, "source");
    /* The later one wins: the connection string's own timeout over the default, but not its
     * encoding. */
    const char *const keys[] = {
        "fallback_application_name", "connect_timeout", "dbname", "client_encoding", NULL};
    const char *const values[] = {"outbox-relay", pg_connect_timeout(source), source, "UTF8", NULL};
    PGconn *connection = PQconnectdbParams(keys, values, 1);
    if (PQstatus(connection) == CONNECTION_OK)
        return connection;
    complain_in_one_line(arguments, PQerrorMessage(connection));
    PQfinish(connection);
    return NULL;
}

static void complain_of_result(
    const struct cli_arguments *arguments, PGconn *connection, const PGresult *result)
{
    const char *state = result ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;
    const char *message = result ? PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY) : NULL;
    const char *hint = result ? PQresultErrorField(result, PG_DIAG_MESSAGE_HINT) : NULL;

    /* 3F000 no such schema, 42P01 no such table, 42883 no such function */
    if (state && message &&
        (!strcmp(state, "3F000") || !strcmp(state, "42P01") || !strcmp(state, "42883")))
        cli_complain(arguments, CLI_FAILED,
            "database \"%s\" has no outbox, or an older one: run outbox-relay init first (%s)",
            PQdb(connection), message);
    else if (message)
        cli_complain(arguments, CLI_FAILED, "%s%s%s", message, hint ? ": " : "", hint ? hint : "");
    else
        complain_in_one_line(arguments, PQerrorMessage(connection));
}

static bool has_worked(
    const struct cli_arguments *arguments, PGconn *connection, const PGresult *result)
{
    ExecStatusType status = PQresultStatus(result);
    if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK)
        return true;
    complain_of_result(arguments, connection, result);
    return false;
}

static bool run(const struct cli_arguments *arguments, PGconn *connection, const char *sql)
{
    AUTO_RESULT PGresult *result = PQexec(connection, sql);
    return has_worked(arguments, connection, result);
}

bool cli_begin(const struct cli_arguments *arguments, PGconn *connection)
{
    const char *standby = PQparameterStatus(connection, "in_hot_standby");
    bool may_write = !standby || strcmp(standby, "on") != 0; /* a standby still shows what it has */
    return run(arguments, connection,
        may_write ? BEGIN ", read write" BEGIN_SETTINGS : BEGIN BEGIN_SETTINGS);
}

bool cli_commit(const struct cli_arguments *arguments, PGconn *connection)
{
    return run(arguments, connection, "commit");
}

int cli_commit_shown(const struct cli_arguments *arguments, PGconn *connection)
{
    int error = cli_flush();
    if (!error)
        return cli_commit(arguments, connection) ? CLI_OK : CLI_FAILED;
    PQclear(PQexec(connection, "rollback"));
    return cli_complain(arguments, CLI_FAILED, CLI_OUTPUT_LOST "; nothing has changed, try again",
        strerror(-error));
}

PGresult *cli_query(const struct cli_arguments *arguments, PGconn *connection, const char *sql,
    const char *const *parameters, int count)
{
    bool alone = PQtransactionStatus(connection) == PQTRANS_IDLE;
    if (alone && !cli_begin(arguments, connection))
        return NULL;
    PGresult *result = PQexecParams(connection, sql, count, NULL, parameters, NULL, NULL, 0);
    if (!has_worked(arguments, connection, result)) {
        PQclear(result);
        PQclear(PQexec(connection, "rollback"));
        return NULL;
    }
    if (alone && !cli_commit(arguments, connection)) {
        PQclear(result);
        return NULL;
    }
    return result;
}

int cli_check_value(const struct cli_arguments *arguments, PGconn *connection, const char *option,
    const char *sql, const char *wanted)
{
    static const char data_exception[] = "22"; /* the class: can't be read, or out of range */
    const char *text = cli_text(arguments, option);
    if (!text)
        return CLI_OK;
    if (!cli_begin(arguments, connection)) /* so that it is read as later, when it is used */
        return CLI_FAILED;
    AUTO_RESULT PGresult *result = PQexecParams(connection, sql, 1, NULL, &text, NULL, NULL, 0);
    PQclear(PQexec(connection, "rollback"));
    const char *state = result ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;
    bool is_read = PQresultStatus(result) == PGRES_TUPLES_OK;
    if (is_read && *PQgetvalue(result, 0, 0) == 't')
        return CLI_OK;
    if (is_read || (state && strncmp(state, data_exception, strlen(data_exception)) == 0))
        return cli_complain(
            arguments, CLI_USAGE_ERROR, "--%s: \"%s\" is not %s", option, text, wanted);
    complain_of_result(arguments, connection, result);
    return CLI_FAILED;
}

int cli_check_subscription(
    const struct cli_arguments *arguments, PGconn *connection, const char *name)
{
    if (!name)
        return CLI_OK;
    AUTO_RESULT PGresult *result = cli_query(
        arguments, connection, "select from outbox.subscription where name = $1", &name, 1);
    if (!result)
        return CLI_FAILED;
    if (PQntuples(result) == 0)
        return cli_complain(arguments, CLI_FAILED, "there is no subscription \"%s\"", name);
    return CLI_OK;
}

PGresult *cli_run_query(const struct cli_arguments *arguments, const char *sql,
    const char *const *parameters, int count)
{
    AUTO_CONNECTION PGconn *connection = cli_connect(arguments);
    return connection ? cli_query(arguments, connection, sql, parameters, count) : NULL;
}
