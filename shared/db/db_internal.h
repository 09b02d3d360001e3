/* What db_pool.c and db.c share: a connection and the set of statements prepared on it. */
#ifndef SHARED_DB_INTERNAL_H
#define SHARED_DB_INTERNAL_H

#include "shared/base/cleanup.h"
#include "shared/db/db.h"

#include <stdatomic.h>

/* Names of the statements prepared on a connection: open addressing, a power of two slots. */
struct db_prepared {
    const char **slots;
    size_t capacity, count;
};

struct db {
    struct db_pool *pool;
    struct db *next_idle;
    PGconn *connection; /* NULL: not connected */
    struct db_prepared prepared;
    int64_t idle_since_ms;
    unsigned generation;   /* of the pool when connected */
    bool discard;          /* to be closed when given back */
    bool timed_out;        /* no answer came in time: the connection is of no more use */
    int answer_timeout_ms; /* 0: waits for ever */
    char sqlstate[6];
    char error[512];
};

/* Borrows a connection as db_acquire does; with `fresh` one that has just been made. */
MUST_CHECK int db_pool_borrow(struct db_pool *pool, bool fresh, struct db **ret_db);

/* Makes every connection of the pool be replaced when it is borrowed next. */
void db_pool_renew(struct db_pool *pool);

int64_t db_now_ms(void); /* monotonic */

/* How long an answer is waited for: more than statement_timeout, which is the server's to keep. */
#define DB_ANSWER_TIMEOUT_MS 15000

/* Gives the last result, or the error, of what a PQsend… function has sent (`sent`: what it
 * returned), as PQexec does. NULL when it could not be sent or no answer came in time; the
 * connection is then closed when it is given back. The caller clears it. */
MUST_CHECK PGresult *db_await(struct db *db, int sent);

void db_prepared_clear(struct db_prepared *set);

/* Keeps what the server or libpq said of a failure and maps it to an error of db.h. `what` names
 * the statement for the log. `result` may be NULL. */
int db_failed(struct db *db, const PGresult *result, const char *what);

#endif
