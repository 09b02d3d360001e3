/* How fast libpq reads the table of events when nothing is done with them: the limit that a drain
 * in batches is measured against. read single-row|cursor|copy     the database is libpq's PGHOST
 * etc. Prints {"rows": …, "seconds": …}. */
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define COLUMNS \
    "id, event_id, aggregate_type, aggregate_id, event_type, created_at, size, payload," \
    " headers->>'traceparent', headers->>'tracestate'"
#define SELECT "select " COLUMNS " from outbox.event order by id"

static void fail(PGconn *connection)
{
    fprintf(stderr, "read: %s", PQerrorMessage(connection));
    exit(1);
}

static void execute(PGconn *connection, const char *sql)
{
    PGresult *result = PQexec(connection, sql);
    if (PQresultStatus(result) != PGRES_COMMAND_OK)
        fail(connection);
    PQclear(result);
}

static long read_single_row(PGconn *connection)
{
    PGresult *result;
    long rows = 0;
    if (!PQsendQueryParams(connection, SELECT, 0, NULL, NULL, NULL, NULL, 1) ||
        !PQsetSingleRowMode(connection))
        fail(connection);
    while ((result = PQgetResult(connection)) != NULL) {
        ExecStatusType status = PQresultStatus(result);
        if (status != PGRES_SINGLE_TUPLE && status != PGRES_TUPLES_OK)
            fail(connection);
        rows += PQntuples(result);
        PQclear(result);
    }
    return rows;
}

static long read_cursor(PGconn *connection)
{
    long rows = 0;
    int got;
    execute(connection, "begin");
    execute(connection, "declare events no scroll cursor for " SELECT);
    do {
        PGresult *result =
            PQexecParams(connection, "fetch 10000 from events", 0, NULL, NULL, NULL, NULL, 1);
        if (PQresultStatus(result) != PGRES_TUPLES_OK)
            fail(connection);
        got = PQntuples(result);
        rows += got;
        PQclear(result);
    } while (got > 0);
    execute(connection, "commit");
    return rows;
}

static long read_copy(PGconn *connection)
{
    PGresult *result = PQexec(connection, "copy (" SELECT ") to stdout (format binary)");
    if (PQresultStatus(result) != PGRES_COPY_OUT)
        fail(connection);
    PQclear(result);
    long rows = 0;
    char *row;
    while (PQgetCopyData(connection, &row, 0) > 0) {
        rows++;
        PQfreemem(row);
    }
    result = PQgetResult(connection);
    if (PQresultStatus(result) != PGRES_COMMAND_OK)
        fail(connection);
    PQclear(result);
    return rows - 1; /* the trailer is sent as a row of its own */
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        long (*read)(PGconn *connection);
    } MODES[] = {{"single-row", read_single_row}, {"cursor", read_cursor}, {"copy", read_copy}};
    for (size_t i = 0; argc == 2 && i < sizeof(MODES) / sizeof(MODES[0]); i++) {
        struct timespec began, ended;
        if (strcmp(argv[1], MODES[i].name) != 0)
            continue;
        PGconn *connection = PQconnectdb("");
        if (PQstatus(connection) != CONNECTION_OK)
            fail(connection);
        /* As the relay's session has it. */
        execute(connection, "set jit = off");
        clock_gettime(CLOCK_MONOTONIC, &began);
        long rows = MODES[i].read(connection);
        clock_gettime(CLOCK_MONOTONIC, &ended);
        printf("{\"rows\": %ld, \"seconds\": %.6f}\n", rows,
            (double)(ended.tv_sec - began.tv_sec) + (double)(ended.tv_nsec - began.tv_nsec) / 1e9);
        PQfinish(connection);
        return 0;
    }
    fprintf(stderr, "usage: read single-row|cursor|copy\n");
    return 2;
}
