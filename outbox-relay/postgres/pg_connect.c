/* See pg_connect.h. The thread owns nothing of the relay but its job; the job's last holder (thread
 * or loop) frees it. */
#include "outbox-relay/postgres/pg_connect.h"
#include "outbox-relay/postgres/pg_conninfo.h"
#include "shared/base/cleanup.h"
#include "shared/db/result.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Worst case to notice a peer that has gone without a word: 10 s idle + 3 probes * 5 s = 25 s; for
 * unacknowledged data tcp_user_timeout is 15 s. */
#define KEEPALIVES "1"
#define KEEPALIVES_IDLE_S "10"
#define KEEPALIVES_INTERVAL_S "5"
#define KEEPALIVES_COUNT "3"
#define TCP_USER_TIMEOUT_MS "15000"

struct pg_connecting {
    atomic_int holders;
    struct loop *loop;
    struct watch watch;
    int event_fd;
    void (*done)(void *context, PGconn *take_connection, const char *sqlstate, const char *error);
    void *context;

    char *conninfo; /* copies: the owner may go away while the thread is at it */
    char *application_name;
    char *host, *hostaddr, *port; /* "": as the conninfo says */
    char **setup;                 /* NULL-ended */
    const struct pg_statement *const *statements;

    PGconn *connection; /* the result; the thread's until it has written event_fd */
    char *error;
    char sqlstate[6]; /* of a refused statement of the setup */
};

static void release(struct pg_connecting *job)
{
    if (atomic_fetch_sub(&job->holders, 1) > 1)
        return;
    PQfinish(job->connection);
    if (job->event_fd >= 0)
        close(job->event_fd);
    for (char **sql = job->setup; sql && *sql; sql++)
        free(*sql);
    free(job->setup);
    free(job->conninfo);
    free(job->application_name);
    free(job->host);
    free(job->hostaddr);
    free(job->port);
    free(job->error);
    free(job);
}

/* The thread -------------------------------------------------------------------------------------
 */

/* Whether the server took a statement; notes its SQLSTATE when it did not. */
static bool is_taken(struct pg_connecting *job, const PGresult *result)
{
    ExecStatusType status = PQresultStatus(result);
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK)
        return true;
    snprintf(job->sqlstate, sizeof(job->sqlstate), "%s", sqlstate ? sqlstate : "");
    return false;
}

static bool run_setup(struct pg_connecting *job)
{
    for (char **sql = job->setup; *sql; sql++) {
        AUTO_RESULT PGresult *result = PQexec(job->connection, *sql);
        if (!is_taken(job, result))
            return false;
    }
    for (const struct pg_statement *const *s = job->statements; s && *s; s++) {
        if (!*(*s)->name)
            continue;
        AUTO_RESULT PGresult *result =
            PQprepare(job->connection, (*s)->name, (*s)->sql, (*s)->param_count, NULL);
        if (!is_taken(job, result))
            return false;
    }
    return true;
}

static void ignore_notice(void *context, const char *message)
{
    (void)context;
    (void)message;
}

static void connect_and_set_up(struct pg_connecting *job)
{
    /* The later one wins, and an empty one does not count. */
    const char *const names[] = {"application_name", "connect_timeout", "keepalives",
        "keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout", "dbname",
        "client_encoding", "host", "hostaddr", "port", NULL};
    const char *const values[] = {job->application_name, pg_connect_timeout(job->conninfo),
        KEEPALIVES, KEEPALIVES_IDLE_S, KEEPALIVES_INTERVAL_S, KEEPALIVES_COUNT, TCP_USER_TIMEOUT_MS,
        job->conninfo, "UTF8", job->host, job->hostaddr, job->port, NULL};
    job->connection = PQconnectdbParams(names, values, 1);
    if (!job->connection) {
        job->error = strdup("out of memory");
        return;
    }
    PQsetNoticeProcessor(job->connection, ignore_notice, NULL);
    if (PQstatus(job->connection) != CONNECTION_OK || !run_setup(job))
        job->error = strdup(PQerrorMessage(job->connection));
}

static void *thread_main(void *argument)
{
    struct pg_connecting *job = argument;
    uint64_t one = 1;
    connect_and_set_up(job);
    if (write(job->event_fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
        abort(); /* an eventfd write can't fail otherwise */
    release(job);
    return NULL;
}

/* The loop ---------------------------------------------------------------------------------------
 */

static void on_event(void *context, uint32_t events)
{
    (void)events;
    struct pg_connecting *job = context;
    uint64_t count;
    if (read(job->event_fd, &count, sizeof(count)) < 0)
        return;
    loop_unwatch(job->loop, &job->watch);
    PGconn *connection = job->connection;
    job->connection = NULL;
    job->done(job->context, connection, job->sqlstate, job->error);
    release(job);
}

void pg_connecting_abandon(struct pg_connecting *job)
{
    loop_unwatch(job->loop, &job->watch);
    release(job);
}

/* A NULL-ended copy of a list, which may be NULL. NULL: no memory. */
static char **copy_list(const char *const *list)
{
    size_t count = 0;
    while (list && list[count])
        count++;
    char **copy = calloc(count + 1, sizeof(*copy));
    for (size_t i = 0; copy && i < count; i++) {
        copy[i] = strdup(list[i]);
        if (copy[i])
            continue;
        while (i > 0)
            free(copy[--i]);
        free(copy);
        return NULL;
    }
    return copy;
}

static struct pg_connecting *new_job(struct loop *loop, const struct pg_login *login)
{
    struct pg_connecting *job = calloc(1, sizeof(*job));
    if (!job)
        return NULL;
    atomic_init(&job->holders, 1);
    job->loop = loop;
    job->watch = (struct watch){.fd = -1, .ready = on_event, .context = job};
    job->setup = copy_list(login->setup);
    job->statements = login->statements;
    job->conninfo = strdup(login->conninfo);
    job->application_name = strdup(login->application_name);
    job->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    const struct pg_server *server = login->server;
    job->host = strdup(server ? server->host : "");
    job->hostaddr = strdup(server ? server->hostaddr : "");
    job->port = strdup(server ? server->port : "");
    if (!job->conninfo || !job->application_name || !job->host || !job->hostaddr || !job->port ||
        !job->setup || job->event_fd < 0) {
        release(job);
        return NULL;
    }
    return job;
}

int pg_connecting_start(struct loop *loop, const struct pg_login *login,
    void (*done)(void *context, PGconn *take_connection, const char *sqlstate, const char *error),
    void *context, struct pg_connecting **ret_connecting)
{
    struct pg_connecting *job = new_job(loop, login);
    if (!job)
        return -ENOMEM;
    job->done = done;
    job->context = context;
    int ret = loop_watch(loop, &job->watch, job->event_fd, EPOLLIN);
    if (ret < 0) {
        release(job);
        return ret;
    }
    pthread_t thread;
    atomic_fetch_add(&job->holders, 1);
    ret = pthread_create(&thread, NULL, thread_main, job);
    if (ret != 0) {
        release(job);
        pg_connecting_abandon(job);
        return -EAGAIN;
    }
    pthread_detach(thread);
    *ret_connecting = job;
    return 0;
}
