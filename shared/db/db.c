/* Statements, results and the one function that begins, commits and retries a transaction. */
#include "shared/db/db.h"
#include "shared/base/log.h"
#include "shared/base/money.h"
#include "shared/base/random.h"
#include "shared/db/db_internal.h"
#include "shared/db/result.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* How a transaction that lost against another one is tried again. */
static const struct {
    int attempts;
    int first_delay_ms; /* doubled each time, jittered down to half */
    int max_delay_ms;
} RETRY = {.attempts = 5, .first_delay_ms = 10, .max_delay_ms = 50};

/* The longest text of a number: a sign, 19 digits, a point, a NUL. */
#define NUMBER_SIZE MONEY_TEXT_SIZE

/* ---- errors ---- */

static bool starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* Classes 08 (connection), 53 (out of connections, memory, disk) and 57P (shutting down, starting)
 * pass by themselves; 25006 says that this server has become a standby. */
static bool means_unavailable(const char *sqlstate)
{
    return starts_with(sqlstate, "08") || starts_with(sqlstate, "53") ||
           starts_with(sqlstate, "57P") || strcmp(sqlstate, "25006") == 0;
}

static int error_of_sqlstate(const char *sqlstate)
{
    static const struct {
        const char *sqlstate;
        int error;
    } ERRORS[] = {
        {"40001", -EAGAIN}, /* serialization_failure */
        {"40P01", -EAGAIN}, /* deadlock_detected */
        {"23505", -EEXIST}, /* unique_violation */
        {"22003", -ERANGE}, /* numeric_value_out_of_range */
        {"23514", -ERANGE}, /* check_violation */
        {"23503", -ENOENT}, /* foreign_key_violation */
    };
    for (size_t i = 0; i < ARRAY_SIZE(ERRORS); i++) {
        if (strcmp(sqlstate, ERRORS[i].sqlstate) == 0)
            return ERRORS[i].error;
    }
    return means_unavailable(sqlstate) ? -ENOTCONN : -EIO;
}

/* The statement as this session prepared it no longer fits: a migration changed what it returns, or
 * the session was reset. Every session of the pool is made anew and the transaction run again. */
static bool means_stale_plan(const PGresult *result, const char *sqlstate)
{
    if (strcmp(sqlstate, "26000") == 0)
        return true;
    const char *function = result ? PQresultErrorField(result, PG_DIAG_SOURCE_FUNCTION) : NULL;
    return strcmp(sqlstate, "0A000") == 0 && function &&
           strcmp(function, "RevalidateCachedQuery") == 0;
}

/* Copies what the server said; where it said nothing, what libpq or db_await knows. */
static void keep_error(struct db *db, const PGresult *result, bool lost)
{
    const char *sqlstate = result ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;
    const char *message = result ? PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY) : NULL;
    if (!sqlstate)
        sqlstate = lost ? "08006" : "";
    if (!message)
        message = db->timed_out ? "no answer in time" : PQerrorMessage(db->connection);
    snprintf(db->sqlstate, sizeof(db->sqlstate), "%s", sqlstate);
    snprintf(db->error, sizeof(db->error), "%s", message);
}

/* Keeps what the server or libpq said of a failure and maps it to an error of db.h. `what` names
 * the statement for the log. `result` may be NULL. */
static int failed(struct db *db, const PGresult *result, const char *what)
{
    bool lost = db->timed_out || PQstatus(db->connection) != CONNECTION_OK;
    keep_error(db, result, lost);
    int error = lost ? -ENOTCONN : error_of_sqlstate(db->sqlstate);
    if (error == -EIO && means_stale_plan(result, db->sqlstate)) {
        db_pool_renew(db->pool);
        error = -EAGAIN;
    }
    if (error == -ENOTCONN)
        db->discard = true;
    if (error == -EIO)
        log_error("statement failed", LOG_TEXT("statement", what),
            LOG_TEXT("sqlstate", db->sqlstate), LOG_TEXT("error", db->error));
    else
        log_debug("statement failed", LOG_TEXT("statement", what),
            LOG_TEXT("sqlstate", db->sqlstate), LOG_TEXT("error", db->error));
    return error;
}

const char *db_sqlstate(const struct db *db)
{
    return db->sqlstate;
}

const char *db_error(const struct db *db)
{
    return db->error;
}

int db_answer_timeout(struct db *db, int timeout_ms)
{
    int before = db->answer_timeout_ms;
    db->answer_timeout_ms = timeout_ms;
    return before;
}

PGconn *db_connection(struct db *db)
{
    return db->connection;
}

/* ---- statements ---- */

static int prepare(struct db *db, const struct db_statement *statement)
{
    if (prepared_has(&db->prepared, statement->name))
        return 0;
    if (prepared_reserve(&db->prepared) < 0) {
        log_error("out of memory");
        return -EIO;
    }
    AUTO_RESULT PGresult *result =
        db_await(db, PQsendPrepare(db->connection, statement->name, statement->sql, 0, NULL));
    if (PQresultStatus(result) != PGRES_COMMAND_OK)
        return failed(db, result, statement->name);
    prepared_add(&db->prepared, statement->name);
    return 0;
}

/* The text of a parameter: borrowed, or written to `number`; NULL for SQL null. */
static const char *param_text(const struct db_param *param, char number[NUMBER_SIZE])
{
    switch (param->type) {
    case DB_PARAM_NULL:
        return NULL;
    case DB_PARAM_TEXT:
        return param->text;
    case DB_PARAM_BOOL:
        return param->number ? "t" : "f";
    case DB_PARAM_MONEY:
        return money_text(param->number, number);
    case DB_PARAM_INT:
        break;
    }
    snprintf(number, NUMBER_SIZE, "%" PRId64, param->number);
    return number;
}

static PGresult *execute(
    struct db *db, const struct db_statement *statement, int param_count, const char *const *values)
{
    PGconn *connection = db->connection;
    if (!statement->name)
        return db_await(db, PQsendQueryParams(connection, statement->sql, param_count, NULL, values,
                                NULL, NULL, 0));
    return db_await(
        db, PQsendQueryPrepared(connection, statement->name, param_count, values, NULL, NULL, 0));
}

int db_query(struct db *db, const struct db_statement *statement, const struct db_param *params,
    size_t param_count, PGresult **ret_result)
{
    if (param_count > DB_MAX_PARAMS) {
        log_error("too many parameters", LOG_TEXT("statement", statement->sql));
        return -EIO;
    }
    int error = statement->name ? prepare(db, statement) : 0;
    if (error < 0)
        return error;

    char numbers[DB_MAX_PARAMS][NUMBER_SIZE];
    const char *values[DB_MAX_PARAMS];
    for (size_t i = 0; i < param_count; i++)
        values[i] = param_text(&params[i], numbers[i]);
    PGresult *result = execute(db, statement, (int)param_count, values);
    ExecStatusType status = PQresultStatus(result);
    if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) {
        error = failed(db, result, statement->name ? statement->name : "unnamed");
        PQclear(result);
        return error;
    }
    if (ret_result)
        *ret_result = result;
    else
        PQclear(result);
    return 0;
}

int db_query_pooled(struct db_pool *pool, const struct db_statement *statement,
    const struct db_param *params, size_t param_count, PGresult **ret_result)
{
    struct db *db;
    int error = db_acquire(pool, &db);
    if (error < 0)
        return error;
    error = db_query(db, statement, params, param_count, ret_result);
    db_release(db);
    return error;
}

int db_read_pooled(struct db_pool *pool, const struct db_statement *statement,
    const struct db_param *params, size_t param_count, PGresult **ret_result)
{
    int error = db_query_pooled(pool, statement, params, param_count, ret_result);
    if (error != -ENOTCONN && error != -EAGAIN)
        return error;
    struct db *db;
    error = db_pool_borrow(pool, true, &db);
    if (error < 0)
        return error;
    error = db_query(db, statement, params, param_count, ret_result);
    db_release(db);
    return error;
}

int db_exec(struct db *db, const char *sql)
{
    AUTO_RESULT PGresult *result = db_await(db, PQsendQuery(db->connection, sql));
    ExecStatusType status = PQresultStatus(result);
    if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK || status == PGRES_EMPTY_QUERY)
        return 0;
    char what[64];
    snprintf(what, sizeof(what), "%s", sql);
    return failed(db, result, what);
}

/* ---- values ---- */

const char *db_text(const PGresult *result, int row, int column)
{
    return PQgetisnull(result, row, column) ? NULL : PQgetvalue(result, row, column);
}

int64_t db_int(const PGresult *result, int row, int column)
{
    const char *text = db_text(result, row, column);
    return text ? strtoll(text, NULL, 10) : 0;
}

bool db_bool(const PGresult *result, int row, int column)
{
    const char *text = db_text(result, row, column);
    return text && text[0] == 't';
}

int64_t db_money(const PGresult *result, int row, int column)
{
    int64_t cents = 0;
    const char *text = db_text(result, row, column);
    if (text && money_parse(text, &cents) < 0)
        log_error("column is not money", LOG_TEXT("column", PQfname(result, column)));
    return cents;
}

/* ---- transactions ---- */

static int begin(struct db *db)
{
    return db_exec(db, "begin isolation level read committed");
}

/* Borrows a connection with a transaction begun on it. One that turns out dead before any work was
 * done, as after a restart of the server, is replaced once. */
static int begin_on_some_connection(struct db_pool *pool, struct db **ret_db)
{
    struct db *db = NULL;
    int error = db_pool_borrow(pool, false, &db);
    if (error < 0)
        return error;
    error = begin(db);
    if (error == -ENOTCONN) {
        db_release(db);
        error = db_pool_borrow(pool, true, &db);
        if (error < 0)
            return error;
        error = begin(db);
    }
    if (error < 0) {
        db_release(db);
        return error;
    }
    *ret_db = db;
    return 0;
}

/* A transaction that failed inside answers COMMIT with ROLLBACK, as a success. */
static int commit(struct db *db)
{
    AUTO_RESULT PGresult *result = db_await(db, PQsendQuery(db->connection, "commit"));
    if (PQresultStatus(result) != PGRES_COMMAND_OK)
        return failed(db, result, "commit");
    if (strcmp(PQcmdStatus(result), "COMMIT") == 0)
        return 0;
    log_error("transaction had already failed at commit", LOG_TEXT("sqlstate", db->sqlstate),
        LOG_TEXT("error", db->error));
    return -EIO;
}

/* *ret_lost: the connection was lost before COMMIT was sent, so that nothing can have been done. */
static int transact_once(struct db_pool *pool, db_work *work, void *context, bool *ret_lost)
{
    struct db *db = NULL;
    int error = begin_on_some_connection(pool, &db);
    if (error < 0)
        return error;
    int outcome = work(db, context);
    *ret_lost = outcome == -ENOTCONN && db->discard && !db->timed_out;
    error = outcome >= 0 ? commit(db) : outcome;
    /* Where that can't be rolled back, db_release closes the connection, which does it too. */
    if (!db->discard && PQtransactionStatus(db->connection) != PQTRANS_IDLE)
        (void)!db_exec(db, "rollback");
    db_release(db);
    return error < 0 ? error : outcome;
}

/* Exponential with jitter, so that transactions that met do not meet again. */
static void back_off(int attempt)
{
    int delay_ms = RETRY.first_delay_ms << attempt;
    if (delay_ms > RETRY.max_delay_ms)
        delay_ms = RETRY.max_delay_ms;
    uint32_t random;
    random_bytes(&random, sizeof(random));
    int jittered_ms = delay_ms / 2 + (int)(random % (unsigned)(delay_ms / 2 + 1));
    struct timespec delay = {.tv_nsec = jittered_ms * 1000000L};
    nanosleep(&delay, NULL);
}

int db_transact(struct db_pool *pool, db_work *work, void *context)
{
    bool reconnected = false;
    for (int attempt = 1;; attempt++) {
        bool lost = false;
        int outcome = transact_once(pool, work, context, &lost);
        bool again = outcome == -EAGAIN || (lost && !reconnected);
        if (!again || attempt == RETRY.attempts)
            return outcome;
        reconnected |= lost;
        log_debug("transaction retried", LOG_INT("attempt", attempt + 1));
        back_off(attempt - 1);
    }
}
