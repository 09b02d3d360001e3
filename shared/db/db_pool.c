/* The pool: connections made when first needed, checked when borrowed, replaced when dead. */
#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/db/db_internal.h"
#include "shared/db/result.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

/* A connection idle for longer is asked to answer before it is lent: a peer that vanished without a
 * FIN shows no event on the socket. */
#define PROBE_AFTER_IDLE_MS 30000

struct db_pool {
    char *conninfo;
    char *application_name;
    int size;
    int acquire_timeout_ms;

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t freed;
    struct db *idle; /* most recently used first, so that the rest may age */
    int in_use;      /* lent, or being connected */
    int idle_count;
    int waiting;
    bool down; /* the last attempt to connect failed */
    bool up;   /* it succeeded; neither before the first one */

    atomic_uint generation;
};

/* Settings of every session. They are set after connecting, not by `options`, which a connection
 * pooler in between may refuse. */
static const char SESSION[] = "set statement_timeout = '10s';"
                              "set idle_in_transaction_session_timeout = '30s';"
                              "set client_min_messages = warning;"
                              "set jit = off";

static void log_notice(void *context, const char *message)
{
    (void)context;
    log_debug("database notice", LOG_TEXT("notice", message));
}

struct db_pool *db_pool_new(
    const char *conninfo, const char *application_name, int size, int acquire_timeout_ms)
{
    struct db_pool *pool = calloc(1, sizeof(*pool));
    if (!pool)
        return NULL;
    pool->conninfo = strdup(conninfo);
    pool->application_name = strdup(application_name);
    pool->size = size > 0 ? size : 1;
    pool->acquire_timeout_ms = acquire_timeout_ms;
    pthread_mutex_init(&pool->lock, NULL);
    clock_condition_init(&pool->freed);
    if (!pool->conninfo || !pool->application_name) {
        db_pool_free(pool);
        return NULL;
    }
    return pool;
}

static void disconnect(struct db *db)
{
    PQfinish(db->connection);
    db->connection = NULL;
    db->discard = false;
    db->timed_out = false;
    db->answer_timeout_ms = DB_ANSWER_TIMEOUT_MS;
    prepared_clear(&db->prepared);
}

static void db_free(struct db *db)
{
    if (!db)
        return;
    disconnect(db);
    prepared_release(&db->prepared);
    free(db);
}

void db_pool_free(struct db_pool *pool)
{
    if (!pool)
        return;
    while (pool->idle) {
        struct db *db = pool->idle;
        pool->idle = db->next_idle;
        db_free(db);
    }
    pthread_cond_destroy(&pool->freed);
    pthread_mutex_destroy(&pool->lock);
    free(pool->application_name);
    free(pool->conninfo);
    free(pool);
}

void db_pool_renew(struct db_pool *pool)
{
    atomic_fetch_add(&pool->generation, 1);
}

/* Logs when the database goes and when it is back, not each attempt in between. */
static void note_reachable(struct db_pool *pool, bool reachable, const char *error)
{
    pthread_mutex_lock(&pool->lock);
    bool changed = pool->down == reachable;
    pool->down = !reachable;
    pool->up = reachable;
    pthread_mutex_unlock(&pool->lock);
    if (changed && reachable)
        log_info("database is reachable again");
    else if (changed)
        log_warn("database unreachable", LOG_TEXT("error", error));
    else if (!reachable)
        log_debug("database unreachable", LOG_TEXT("error", error));
}

/* What the conninfo itself gives wins over the defaults in front of it. A server whose machine is
 * gone is noticed after 10 s: by an idle connection from the probes (5 s + 3 x 2 s), by one that
 * has sent something from tcp_user_timeout. */
static PGconn *open_connection(const struct db_pool *pool)
{
    const char *const keywords[] = {"fallback_application_name", "connect_timeout", "keepalives",
        "keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout", "dbname",
        "client_encoding", NULL};
    const char *const values[] = {
        pool->application_name, "3", "1", "5", "2", "3", "10000", pool->conninfo, "UTF8", NULL};
    return PQconnectdbParams(keywords, values, 1);
}

static int db_connect(struct db *db)
{
    disconnect(db);
    db->generation = atomic_load(&db->pool->generation);
    db->connection = open_connection(db->pool);
    if (!db->connection)
        return -ENOTCONN;
    PQsetNoticeProcessor(db->connection, log_notice, NULL);
    AUTO_RESULT PGresult *session = NULL;
    if (PQstatus(db->connection) == CONNECTION_OK)
        session = db_await(db, PQsendQuery(db->connection, SESSION));
    if (PQresultStatus(session) != PGRES_COMMAND_OK) {
        note_reachable(db->pool, false, PQerrorMessage(db->connection));
        disconnect(db);
        return -ENOTCONN;
    }
    note_reachable(db->pool, true, NULL);
    return 0;
}

/* An idle session has nothing to say but goodbye: what can be read is the end of the connection, a
 * message that announces it, or a harmless notice. Costs one poll(2). */
static bool socket_alive(PGconn *connection)
{
    struct pollfd event = {.fd = PQsocket(connection), .events = POLLIN};
    for (int reads = 0; reads < 8; reads++) {
        int ready = poll(&event, 1, 0);
        if (ready == 0)
            return true;
        if (ready < 0 && errno == EINTR)
            continue;
        if (ready < 0 || !PQconsumeInput(connection) || PQisBusy(connection))
            return false;
        if (PQstatus(connection) != CONNECTION_OK)
            return false;
    }
    return false;
}

static bool db_alive(struct db *db)
{
    if (!db->connection || PQstatus(db->connection) != CONNECTION_OK)
        return false;
    if (db->generation != atomic_load(&db->pool->generation) || !socket_alive(db->connection))
        return false;
    if (clock_ms() - db->idle_since_ms < PROBE_AFTER_IDLE_MS)
        return true;
    AUTO_RESULT PGresult *answer = db_await(db, PQsendQuery(db->connection, ""));
    return PQresultStatus(answer) == PGRES_EMPTY_QUERY;
}

/* Waits for a place in the pool. *ret_db is an idle connection, or NULL when one is to be made. */
static int take_place(struct db_pool *pool, struct db **ret_db)
{
    int64_t until_ms = clock_ms() + pool->acquire_timeout_ms;
    int waited = 0;
    pthread_mutex_lock(&pool->lock);
    pool->waiting++;
    while (pool->in_use >= pool->size && waited != ETIMEDOUT)
        waited = clock_wait(&pool->freed, &pool->lock, until_ms);
    pool->waiting--;
    if (pool->in_use >= pool->size) {
        pthread_mutex_unlock(&pool->lock);
        log_debug("connection pool exhausted", LOG_INT("size", pool->size));
        return -ENOTCONN;
    }
    pool->in_use++;
    *ret_db = pool->idle;
    if (pool->idle) {
        pool->idle = pool->idle->next_idle;
        pool->idle_count--;
    }
    pthread_mutex_unlock(&pool->lock);
    return 0;
}

static void give_place(struct db_pool *pool, struct db *db)
{
    pthread_mutex_lock(&pool->lock);
    pool->in_use--;
    if (db) {
        db->next_idle = pool->idle;
        pool->idle = db;
        pool->idle_count++;
    }
    if (pool->waiting > 0)
        pthread_cond_signal(&pool->freed);
    pthread_mutex_unlock(&pool->lock);
}

int db_pool_borrow(struct db_pool *pool, bool fresh, struct db **ret_db)
{
    struct db *db = NULL;
    int error = take_place(pool, &db);
    if (error < 0)
        return error;
    if (!db)
        db = calloc(1, sizeof(*db));
    if (!db) {
        give_place(pool, NULL);
        return -ENOTCONN;
    }
    db->pool = pool;
    if (fresh || !db_alive(db))
        error = db_connect(db);
    if (error < 0) {
        db_free(db);
        give_place(pool, NULL);
        return error;
    }
    *ret_db = db;
    return 0;
}

int db_acquire(struct db_pool *pool, struct db **ret_db)
{
    return db_pool_borrow(pool, false, ret_db);
}

void db_release(struct db *db)
{
    if (!db)
        return;
    struct db_pool *pool = db->pool;
    if (db->discard || PQstatus(db->connection) != CONNECTION_OK ||
        PQtransactionStatus(db->connection) != PQTRANS_IDLE) {
        db_free(db);
        db = NULL;
    } else {
        db->idle_since_ms = clock_ms();
    }
    give_place(pool, db);
}

void db_pool_usage(struct db_pool *pool, int *ret_in_use, int *ret_open, int *ret_size)
{
    pthread_mutex_lock(&pool->lock);
    *ret_in_use = pool->in_use;
    *ret_open = pool->in_use + pool->idle_count;
    *ret_size = pool->size;
    pthread_mutex_unlock(&pool->lock);
}

bool db_pool_busy(struct db_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    bool busy = pool->up && pool->in_use >= pool->size;
    pthread_mutex_unlock(&pool->lock);
    return busy;
}
