/* What the files of this folder share: a connection. */
#ifndef SHARED_DB_INTERNAL_H
#define SHARED_DB_INTERNAL_H

#include "shared/base/cleanup.h"
#include "shared/db/db.h"
#include "shared/db/prepared.h"

#include <stdatomic.h>

struct db {
    struct db_pool *pool;
    struct db *next_idle;
    PGconn *connection; /* NULL: not connected */
    struct prepared prepared;
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

/* How long an answer is waited for: more than statement_timeout, which is the server's to keep. */
#define DB_ANSWER_TIMEOUT_MS 15000

/* Gives the last result, or the error, of what a PQsend… function has sent (`sent`: what it
 * returned), as PQexec does. NULL when it could not be sent or no answer came in time; the
 * connection is then closed when it is given back. The caller clears it. */
MUST_CHECK PGresult *db_await(struct db *db, int sent);

#endif
