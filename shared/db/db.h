/* PostgreSQL through libpq: a bounded pool of connections, statements prepared by name on first use
 * of each connection, and the one function that begins, commits and retries a transaction. */
#ifndef SHARED_DB_H
#define SHARED_DB_H

#include "shared/base/cleanup.h"
#include "shared/db/result.h"

#include <stdbool.h>
#include <stdint.h>

/* Errors of the functions below, as negative errno:
 *   -EAGAIN    serialization failure or deadlock (40001, 40P01): run the transaction again
 *   -ENOTCONN  no connection: pool exhausted in time, server down, starting or connection lost
 *   -EEXIST    unique violation (23505)
 *   -ERANGE    number out of range or check constraint (22003, 23514)
 *   -ENOENT    foreign key violation (23503)
 *   -EIO       anything else; logged with SQLSTATE where it is found, never shown to a client */

struct db_pool;
struct db; /* one connection, borrowed from the pool */

/* A statement: name unique in the program. `static const struct db_statement FIND = {"bill_find",
 * "select …"};` Parameters are untyped text ($1, $2 …); cast in SQL where the type is unclear.
 * Without a name (NULL) it is not kept: parsed and planned for its values each time, for SQL put
 * together at run time (from constants only). */
struct db_statement {
    const char *name;
    const char *sql;
};

/* A parameter. Borrowed for the call. */
struct db_param {
    enum { DB_PARAM_NULL, DB_PARAM_TEXT, DB_PARAM_INT, DB_PARAM_BOOL, DB_PARAM_MONEY } type;
    const char *text;
    int64_t number;
};

#define DB_NULL() ((struct db_param){.type = DB_PARAM_NULL})
#define DB_TEXT(v) ((struct db_param){.type = DB_PARAM_TEXT, .text = (v)}) /* NULL is SQL null */
#define DB_INT(v) ((struct db_param){.type = DB_PARAM_INT, .number = (v)})
#define DB_BOOL(v) ((struct db_param){.type = DB_PARAM_BOOL, .number = (v)})
#define DB_MONEY(cents) ((struct db_param){.type = DB_PARAM_MONEY, .number = (cents)})
#define DB_MAX_PARAMS 16

/* The parameter list of db_query: pointer and count, DB_PARAMS() for none. */
#define DB_PARAM_ARRAY(...) ((const struct db_param[]){{0}, ##__VA_ARGS__})
#define DB_PARAMS(...) \
    (DB_PARAM_ARRAY(__VA_ARGS__) + 1), \
        (sizeof(DB_PARAM_ARRAY(__VA_ARGS__)) / sizeof(struct db_param) - 1)

/* Opens nothing yet: connections are made when first needed, at most `size`. `acquire_timeout_ms`
 * bounds the wait for a free one. Connections carry application_name, TCP keepalive,
 * connect_timeout, statement_timeout and idle_in_transaction_session_timeout. Copies `conninfo`. */
MUST_CHECK struct db_pool *db_pool_new(
    const char *conninfo, const char *application_name, int size, int acquire_timeout_ms);
void db_pool_free(struct db_pool *pool); /* waits for nothing; call after the last borrower */

/* Borrows a connection, checked to be alive (a dead one is replaced). Give it back with db_release;
 * one whose state is unknown is closed. Errors: -ENOTCONN. */
MUST_CHECK int db_acquire(struct db_pool *pool, struct db **ret_db);
void db_release(struct db *db);

/* Connections now in use, open, and the limit; for metrics. */
void db_pool_usage(struct db_pool *pool, int *ret_in_use, int *ret_open, int *ret_size);

/* Whether all connections are lent, and the last one that was made found the database: that there
 * is none to borrow tells of load then, and nothing of the database. */
bool db_pool_busy(struct db_pool *pool);

/* Runs a prepared statement with text results. *ret_result is the caller's to PQclear
 * (AUTO_RESULT); pass NULL when it is not wanted. Errors: see above; *ret_result is then untouched.
 */
MUST_CHECK int db_query(struct db *db, const struct db_statement *statement,
    const struct db_param *params, size_t param_count, PGresult **ret_result);

/* The same on a connection borrowed for this one statement, outside of a transaction block. */
MUST_CHECK int db_query_pooled(struct db_pool *pool, const struct db_statement *statement,
    const struct db_param *params, size_t param_count, PGresult **ret_result);

/* The same for a read, which may be run twice: once more on a new connection when the first one
 * turns out to be lost, or on -EAGAIN. */
MUST_CHECK int db_read_pooled(struct db_pool *pool, const struct db_statement *statement,
    const struct db_param *params, size_t param_count, PGresult **ret_result);

/* Runs SQL without parameters and prepares nothing, several statements allowed (migrations,
 * savepoints). */
MUST_CHECK int db_exec(struct db *db, const char *sql);

/* How long the server's answers are waited for on this connection, in ms, from now on; 0: for ever.
 * Returns what it was; 15 s at first, which is longer than statement_timeout. */
int db_answer_timeout(struct db *db, int timeout_ms);

/* The raw connection, for what these functions don't cover (COPY, notices). */
PGconn *db_connection(struct db *db);

/* SQLSTATE ("23505") and message of the last failed call on this connection; never NULL. */
const char *db_sqlstate(const struct db *db);
const char *db_error(const struct db *db);

/* Values of a result row. db_int: 0 for null. */
int64_t db_int(const PGresult *result, int row, int column);
bool db_bool(const PGresult *result, int row, int column);
const char *db_text(const PGresult *result, int row, int column); /* NULL for null; borrowed */
int64_t db_money(const PGresult *result, int row, int column);    /* cents */

/* The work of a transaction. Returns 0 or a positive value to commit, a negative one to roll back.
 */
typedef int db_work(struct db *tx, void *context);

/* Runs `work` in a read committed transaction on a pooled connection and commits. -EAGAIN, from the
 * work or the commit, rolls back and runs it again, at most 5 times with jittered backoff; so does,
 * once, a connection that is lost before COMMIT. `work` must not keep effects outside the
 * transaction. Returns what `work` returned, or an error as above. A connection lost during COMMIT
 * gives -ENOTCONN: the outcome is unknown. */
MUST_CHECK int db_transact(struct db_pool *pool, db_work *work, void *context);

#endif
