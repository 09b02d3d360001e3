/* Databases for tests. */
#include "tests/support/database.h"
#include "shared/base/cleanup.h"

#include <libpq-fe.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include <cmocka.h>

static PGconn *connect_to(const char *conninfo)
{
    PGconn *connection = PQconnectdb(conninfo);
    if (PQstatus(connection) != CONNECTION_OK)
        fail_msg("%s", PQerrorMessage(connection));
    return connection;
}

char *database_query(const char *conninfo, const char *sql)
{
    PGconn *connection = connect_to(conninfo);
    PGresult *result = PQexec(connection, sql);
    ExecStatusType status = PQresultStatus(result);
    if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK)
        fail_msg("%s: %s", sql, PQerrorMessage(connection));
    char *value = strdup(PQntuples(result) > 0 ? PQgetvalue(result, 0, 0) : "");
    PQclear(result);
    PQfinish(connection);
    assert_non_null(value);
    return value;
}

long database_count(const char *conninfo, const char *sql)
{
    AUTO_FREE char *value = database_query(conninfo, sql);
    return strtol(value, NULL, 10);
}

char *database_new(void)
{
    static int made;
    char sql[64];
    char *conninfo = NULL;
    snprintf(sql, sizeof(sql), "create database test_%d_%d", (int)getpid(), ++made);
    free(database_query("dbname=postgres", sql));
    assert_true(asprintf(&conninfo, "dbname=test_%d_%d", (int)getpid(), made) > 0);
    return conninfo;
}

void database_kick(const char *conninfo)
{
    free(database_query(conninfo,
        "select count(pg_terminate_backend(pid, 10000)) from pg_stat_activity "
        "where datname = current_database() and pid <> pg_backend_pid()"));
}

static pid_t frozen[16];
static size_t frozen_count;

void database_freeze(const char *conninfo)
{
    AUTO_FREE char *pids =
        database_query(conninfo, "select string_agg(pid::text, ' ') from pg_stat_activity "
                                 "where datname = current_database() and pid <> pg_backend_pid()");
    char *rest = NULL;
    for (char *pid = strtok_r(pids, " ", &rest); pid; pid = strtok_r(NULL, " ", &rest)) {
        assert_in_range(frozen_count, 0, ARRAY_SIZE(frozen) - 1);
        frozen[frozen_count] = (pid_t)strtol(pid, NULL, 10);
        assert_int_equal(kill(frozen[frozen_count++], SIGSTOP), 0);
    }
}

void database_thaw(void)
{
    while (frozen_count > 0)
        kill(frozen[--frozen_count], SIGCONT);
}

static void pg_cluster(const char *command, const char *argument)
{
    AUTO_FREE char *line = NULL;
    const char *directory = getenv("PG_TEMP_DIR");
    assert_non_null(directory);
    assert_true(asprintf(&line, "scripts/pg-cluster %s '%s' %s >/dev/null", command, directory,
                    argument) > 0);
    assert_int_equal(system(line), 0); /* NOLINT(cert-env33-c): its own words only */
}

void database_stop(const char *mode)
{
    pg_cluster("stop", mode);
}

void database_start(void)
{
    char argument[64];
    const char *port = getenv("PGPORT");
    assert_non_null(port);
    snprintf(argument, sizeof(argument), "--port %s -c fsync=off", port);
    pg_cluster("start", argument);
}
