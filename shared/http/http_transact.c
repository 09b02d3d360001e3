/* A request's transaction: idempotency key, work, answer and the key's record of it as one. */
#include "shared/base/hex.h"
#include "shared/base/log.h"
#include "shared/base/sha256.h"
#include "shared/db/result.h"
#include "shared/http/http_reply.h"
#include "shared/http/http_request.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define KEY_HEADER "Idempotency-Key"
#define KEY_MAX 255
#define HASH_TEXT_SIZE (2 + 2 * SHA256_SIZE + 1) /* as bytea in hexadecimal: \x… */
#define CLEAN_EVERY 64                           /* keyed requests, for a batch of 256 */

/* Work that made an answer of 400 or more: rolled back, but not a database error. */
#define REFUSED (-ECANCELED)

static const struct db_statement CLAIM = {
    "web_claim_key", "select web.claim_idempotency_key($1, $2, $3::bytea)"};

static const struct db_statement FIND = {"web_find_key",
    "select request_hash = $3::bytea, status, content_type, body from web.idempotency_key "
    "where principal = $1 and key = $2"};

static const struct db_statement COMPLETE = {"web_complete_key",
    "update web.idempotency_key set status = $3, content_type = $4, body = $5 "
    "where principal = $1 and key = $2"};

static const struct db_statement CLEAN = {"web_clean_keys", "select web.clean_idempotency_keys()"};

struct transaction {
    struct http_request *request;
    http_work *work;
    void *context;
    const char *key; /* NULL: none */
    char *principal;
    char hash[HASH_TEXT_SIZE];
    int status;
};

/* ---- the key ---- */

static bool key_is_valid(const char *key)
{
    size_t length = strlen(key);
    if (length < 1 || length > KEY_MAX)
        return false;
    for (size_t i = 0; i < length; i++) {
        if (key[i] < 0x21 || key[i] > 0x7e)
            return false;
    }
    return true;
}

/* SHA-256 of "method\npath\n" and the SHA-256 of the body. */
static int hash_request(const struct http_request *request, char ret_hash[HASH_TEXT_SIZE])
{
    unsigned char body[SHA256_SIZE], whole[SHA256_SIZE];
    size_t head = strlen(request->method) + strlen(request->path) + 2;
    AUTO_FREE char *text = malloc(head + SHA256_SIZE + 1);
    if (!text || sha256(request->body, request->body_length, body) < 0)
        return -EIO;
    snprintf(text, head + 1, "%s\n%s\n", request->method, request->path);
    memcpy(text + head, body, SHA256_SIZE);
    if (sha256(text, head + SHA256_SIZE, whole) < 0)
        return -EIO;
    memcpy(ret_hash, "\\x", 2);
    *hex_write(ret_hash + 2, whole, sizeof(whole)) = '\0';
    return 0;
}

/* Whose key it is; clients can't see or block each other's. */
static char *principal_of(const struct http_request *request)
{
    const struct auth_claims *claims = http_claims(request);
    char *principal = NULL;
    int length = claims ? asprintf(&principal, "%s:%" PRId64,
                              claims->role == AUTH_ROLE_ADMIN ? "ADMIN" : "USER", claims->user_id)
                        : asprintf(&principal, "anonymous:%s", request->path);
    return length < 0 ? NULL : principal;
}

static bool is_post(const struct http_request *request)
{
    return strcmp(request->method, "POST") == 0;
}

/* Returns 0 or the status it has replied with. */
static int read_key(struct http_request *request, struct transaction *transaction)
{
    const char *key = is_post(request) ? http_header(request, KEY_HEADER) : NULL;
    if (!key)
        return 0;
    if (!key_is_valid(key))
        return http_problem(request, 400, "bad_idempotency_key",
            KEY_HEADER " must be 1 to %d visible ASCII characters", KEY_MAX);
    transaction->principal = principal_of(request);
    if (!transaction->principal || hash_request(request, transaction->hash) < 0)
        return http_problem(request, 500, "internal", "out of memory");
    transaction->key = key;
    return 0;
}

/* ---- inside the transaction ---- */

/* Another request has the key: answers as that was answered. */
static int replay(struct transaction *transaction, struct db *tx)
{
    struct http_request *request = transaction->request;
    AUTO_RESULT PGresult *row = NULL;
    int error = db_query(tx, &FIND,
        DB_PARAMS(
            DB_TEXT(transaction->principal), DB_TEXT(transaction->key), DB_TEXT(transaction->hash)),
        &row);
    if (error < 0)
        return error;
    if (PQntuples(row) == 0)
        return -EAGAIN; /* cleaned in between */
    if (!db_bool(row, 0, 0))
        return http_problem(request, 422, "idempotency_mismatch",
            "this " KEY_HEADER " was used for another request");
    const char *body = db_text(row, 0, 3);
    const char *content_type = db_text(row, 0, 2);
    if (!body || !content_type)
        return -EIO;
    http_reply_header(request, "Idempotency-Replayed", "true");
    return http_reply(request, (int)db_int(row, 0, 1), content_type, body, strlen(body));
}

static int complete_key(struct transaction *transaction, struct db *tx)
{
    const struct http_reply *reply = &transaction->request->reply;
    return db_query(tx, &COMPLETE,
        DB_PARAMS(DB_TEXT(transaction->principal), DB_TEXT(transaction->key), DB_INT(reply->status),
            DB_TEXT(reply->content_type ? reply->content_type : ""),
            DB_TEXT(reply->body ? reply->body : "")),
        NULL);
}

static int work_with_key(struct transaction *transaction, struct db *tx)
{
    AUTO_RESULT PGresult *claimed = NULL;
    int error = db_query(tx, &CLAIM,
        DB_PARAMS(
            DB_TEXT(transaction->principal), DB_TEXT(transaction->key), DB_TEXT(transaction->hash)),
        &claimed);
    if (error < 0)
        return error;
    if (!db_bool(claimed, 0, 0))
        return replay(transaction, tx);
    int status = transaction->work(transaction->request, tx, transaction->context);
    if (status < 0 || status >= 400)
        return status;
    error = complete_key(transaction, tx);
    return error < 0 ? error : status;
}

static int run_work(struct db *tx, void *context)
{
    struct transaction *transaction = context;
    http_reply_reset(transaction->request);
    int status = transaction->key
                     ? work_with_key(transaction, tx)
                     : transaction->work(transaction->request, tx, transaction->context);
    transaction->status = status;
    return status >= 400 ? REFUSED : status;
}

/* ---- around it ---- */

static int reply_database_error(struct http_request *request, int error)
{
    http_reply_reset(request);
    if (error == -ENOTCONN || error == -EAGAIN)
        return http_problem(request, 503, "unavailable",
            error == -EAGAIN ? "too many requests for the same data"
                             : "the database is unavailable");
    return http_problem(request, 500, "internal", "something went wrong");
}

static int transact(struct transaction *transaction)
{
    int outcome = db_transact(http_pool(transaction->request), run_work, transaction);
    if (outcome == REFUSED)
        return transaction->status;
    return outcome < 0 ? reply_database_error(transaction->request, outcome) : outcome;
}

/* Expired keys are deleted by those who bring new ones, a few at a time. */
static void clean_now_and_then(struct db_pool *pool)
{
    static atomic_uint requests;
    struct db *db = NULL;
    if (atomic_fetch_add(&requests, 1) % CLEAN_EVERY != 0 || db_acquire(pool, &db) < 0)
        return;
    if (db_query(db, &CLEAN, DB_PARAMS(), NULL) < 0)
        log_debug("cannot clean up idempotency keys", LOG_TEXT("error", db_error(db)));
    db_release(db);
}

int http_transact(struct http_request *request, http_work *work, void *context)
{
    struct transaction transaction = {.request = request, .work = work, .context = context};
    int status = read_key(request, &transaction);
    if (status == 0)
        status = transact(&transaction);
    if (transaction.key)
        clean_now_and_then(http_pool(request));
    free(transaction.principal);
    return status;
}

/* ---- reads ---- */

int http_reply_query(struct http_request *request, const char *missing,
    const struct db_statement *statement, const struct db_param *params, size_t param_count)
{
    AUTO_RESULT PGresult *result = NULL;
    int error = db_read_pooled(http_pool(request), statement, params, param_count, &result);
    if (error < 0)
        return reply_database_error(request, error);
    const char *json = PQntuples(result) > 0 ? db_text(result, 0, 0) : NULL;
    if (json && PQnfields(result) > 1)
        http_reply_header(request, "X-Total-Count", db_text(result, 0, 1));
    if (json)
        return http_reply_json_text(request, 200, json);
    if (!missing)
        return reply_database_error(request, -EIO);
    return http_problem(request, 404, missing, "not found");
}

int http_reply_page(struct http_request *request, const struct db_statement *statement)
{
    int64_t page, size;
    int status = http_page_query(request, "page", "size", &page, &size);
    if (status)
        return status;
    return http_reply_query(request, NULL, statement,
        DB_PARAMS(DB_INT(http_path_id(request, 0)), DB_INT(size), DB_INT(page * size)));
}
