/* See command.h. */
#include "outbox-relay/command.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define PROGRAM "outbox-relay"

void command_help(const struct command *command)
{
    printf("usage: " PROGRAM " %s %s\n\n%s.\n\n%s", command->name, command->synopsis,
        command->summary, command->help);
}

int command_misuse(const struct command *command, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, PROGRAM " %s: ", command->name);
    vfprintf(stderr, format, arguments);
    fprintf(stderr, " (see " PROGRAM " %s --help)\n", command->name);
    va_end(arguments);
    return EXIT_USAGE;
}

int command_failed(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, PROGRAM ": ");
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    return EXIT_FAILED;
}

int command_option(const struct command *command, int argc, char **argv,
    const struct option *options, int *ret_status)
{
    opterr = 0;
    int value = getopt_long(argc, argv, "+:h", options, NULL);
    const char *word = optind > 0 ? argv[optind - 1] : "";
    switch (value) {
    case 'h':
        command_help(command);
        *ret_status = EXIT_DONE;
        return -2;
    case ':':
        *ret_status = command_misuse(command, "%s needs a value", word);
        return -2;
    case '?':
        *ret_status = command_misuse(command, "unknown option %s", word);
        return -2;
    default:
        return value;
    }
}

/* libpq's messages end with a newline and may have several lines. */
static const char *one_line(char *text)
{
    for (char *c = text; *c; c++)
        if (*c == '\n')
            *c = c[1] ? ' ' : '\0';
    return text;
}

PGconn *command_connect(const struct command *command, const char *dsn, int *ret_status)
{
    if (!dsn)
        dsn = getenv("OUTBOX_RELAY_SOURCE");
    if (!dsn || !*dsn) {
        *ret_status = command_misuse(
            command, "say which database with --source DSN or the variable OUTBOX_RELAY_SOURCE");
        return NULL;
    }
    const char *names[] = {"application_name", "connect_timeout", "dbname", NULL};
    const char *values[] = {PROGRAM, "10", dsn, NULL};
    PGconn *connection = PQconnectdbParams(names, values, 1);
    if (PQstatus(connection) == CONNECTION_OK)
        return connection;
    AUTO_FREE char *reason = strdup(PQerrorMessage(connection));
    *ret_status = command_failed("%s", reason ? one_line(reason) : "out of memory");
    PQfinish(connection);
    return NULL;
}

PGresult *command_query(
    PGconn *connection, const char *sql, int param_count, const char *const *values)
{
    PGresult *result = PQexecParams(connection, sql, param_count, NULL, values, NULL, NULL, 0);
    ExecStatusType status = PQresultStatus(result);
    if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK)
        return result;
    const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    const char *hint = PQresultErrorField(result, PG_DIAG_MESSAGE_HINT);
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    if (state && (strcmp(state, "3F000") == 0 || strcmp(state, "42P01") == 0))
        hint = "is the outbox installed? run " PROGRAM " init";
    command_failed("%s%s%s%s", message ? message : PQerrorMessage(connection), hint ? " (" : "",
        hint ? hint : "", hint ? ")" : "");
    PQclear(result);
    return NULL;
}
