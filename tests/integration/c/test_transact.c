/* Requests in transactions: idempotency keys under repetition, concurrency and abuse, and what a
 * client gets when the database is unavailable. */
#include "shared/base/json.h"
#include "shared/base/log.h"
#include "shared/db/result.h"
#include "shared/http/http.h"
#include "tests/support/client.h"
#include "tests/support/database.h"
#include "tests/support/service.h"
#include "tests/support/tokens.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct test_service service;
static struct auth *auth;
static EVP_PKEY *key;
static atomic_int runs;

/* ---- the routes under test ---- */

static const struct db_statement ADD = {"test_add",
    "insert into effect (body) values ($1) returning json_build_object('id', id)::text"};

static int add_effect(struct http_request *request, struct db *tx, void *context)
{
    AUTO_RESULT PGresult *row = NULL;
    size_t length = 0;
    (void)context;
    atomic_fetch_add(&runs, 1);
    int error = db_query(tx, &ADD, DB_PARAMS(DB_TEXT(http_body(request, &length))), &row);
    if (error < 0)
        return error;
    http_reply_header(request, "X-Run", "1");
    return http_reply_json_text(request, 200, db_text(row, 0, 0));
}

static int handle_effect(struct http_request *request)
{
    return http_transact(request, add_effect, NULL);
}

/* The first time a conflict, after a half-made answer. */
static int conflict_once(struct http_request *request, struct db *tx, void *context)
{
    bool *conflicted = context;
    int status = add_effect(request, tx, NULL);
    if (*conflicted)
        return status;
    *conflicted = true;
    return -EAGAIN;
}

static int handle_conflict(struct http_request *request)
{
    bool conflicted = false;
    return http_transact(request, conflict_once, &conflicted);
}

/* Writes, and then finds that it may not. */
static int refuse_in(struct http_request *request, struct db *tx, void *context)
{
    int status = add_effect(request, tx, context);
    return status < 0 ? status : http_problem(request, 409, "refused", "not now");
}

static int handle_refusal(struct http_request *request)
{
    return http_transact(request, refuse_in, NULL);
}

static int fail_in(struct http_request *request, struct db *tx, void *context)
{
    (void)!add_effect(request, tx, context);
    return db_exec(tx, "select secret_detail from nowhere");
}

static int handle_failure(struct http_request *request)
{
    return http_transact(request, fail_in, NULL);
}

/* Holds the transaction open while the test looks at it. */
static int linger_in(struct http_request *request, struct db *tx, void *context)
{
    int error = db_exec(tx, "select pg_sleep(0.3)");
    return error < 0 ? error : add_effect(request, tx, context);
}

static int handle_slow(struct http_request *request)
{
    return http_transact(request, linger_in, NULL);
}

static const struct db_statement READ = {
    "test_read", "select json_build_object('id', id)::text from effect where id = $1"};

static int read_effect(struct http_request *request)
{
    return http_reply_query(
        request, "not_found", &READ, DB_PARAMS(DB_INT(http_path_id(request, 0))));
}

static const struct http_route ROUTES[] = {
    {"POST", "/effects", HTTP_OPEN, handle_effect},
    {"PUT", "/effects", HTTP_OPEN, handle_effect},
    {"POST", "/other-effects", HTTP_OPEN, handle_effect},
    {"GET", "/effects/{id}", HTTP_OPEN, read_effect},
    {"POST", "/my-effects", HTTP_TOKEN, handle_effect},
    {"POST", "/conflicts", HTTP_OPEN, handle_conflict},
    {"POST", "/refusals", HTTP_OPEN, handle_refusal},
    {"POST", "/failures", HTTP_OPEN, handle_failure},
    {"POST", "/slow", HTTP_OPEN, handle_slow},
};

/* ---- asking ---- */

static struct answer post(const char *path, const char *key_header, const char *body)
{
    return test_service_ask(&service, "POST", path, key_header, NULL, body);
}

static long effects(void)
{
    return database_count(service.conninfo, "select count(*) from effect");
}

static long keys(void)
{
    return database_count(service.conninfo, "select count(*) from web.idempotency_key");
}

/* Asks and expects a problem. */
static void assert_problem(
    const char *path, const char *key_header, const char *body, long status, const char *code)
{
    struct answer answer = post(path, key_header, body);
    assert_int_equal(answer.reply.status, status);
    assert_non_null(answer.code);
    assert_string_equal(answer.code, code);
    assert_null(answer.replayed);
    answer_release(&answer);
}

/* ---- tests ---- */

static void a_repeat_gets_the_first_answer(void **state)
{
    long before = effects();
    struct answer first = post("/effects", "Idempotency-Key: repeat", "{\"a\":1}");
    struct answer second = post("/effects", "idempotency-key: repeat", "{\"a\":1}");
    (void)state;
    assert_int_equal(first.reply.status, 200);
    assert_null(first.replayed);
    assert_int_equal(second.reply.status, 200);
    assert_string_equal(second.replayed, "true");
    assert_string_equal(first.reply.body, second.reply.body);
    AUTO_FREE char *type = client_header(&second.reply, "Content-Type");
    assert_string_equal(type, "application/json");
    assert_int_equal(effects(), before + 1);
    answer_release(&first);
    answer_release(&second);
}

static void without_a_key_each_counts(void **state)
{
    long before = effects(), keys_before = keys();
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct answer answer = post("/effects", NULL, "{}");
        assert_int_equal(answer.reply.status, 200);
        answer_release(&answer);
        answer = test_service_ask(&service, "PUT", "/effects", "Idempotency-Key: put", NULL, "{}");
        assert_int_equal(answer.reply.status, 200);
        assert_null(answer.replayed);
        answer_release(&answer);
    }
    assert_int_equal(effects(), before + 4);
    assert_int_equal(keys(), keys_before);
}

static void another_request_with_the_key_is_refused(void **state)
{
    (void)state;
    struct answer first = post("/effects", "Idempotency-Key: mismatch", "{\"a\":1}");
    long before = effects();
    answer_release(&first);
    assert_problem(
        "/effects", "Idempotency-Key: mismatch", "{\"a\":2}", 422, "idempotency_mismatch");
    assert_problem("/effects", "Idempotency-Key: mismatch", "", 422, "idempotency_mismatch");
    assert_int_equal(effects(), before);
    /* Without a token a key holds for its path only. */
    struct answer other = post("/other-effects", "Idempotency-Key: mismatch", "{\"a\":1}");
    assert_int_equal(other.reply.status, 200);
    assert_null(other.replayed);
    answer_release(&other);
}

static void bad_keys_are_refused(void **state)
{
    char header[512] = "Idempotency-Key: ";
    size_t start = strlen(header);
    long before = effects();
    (void)state;
    assert_problem("/effects", "Idempotency-Key: two words", "{}", 400, "bad_idempotency_key");
    assert_problem("/effects", "Idempotency-Key: \xc3\xa9", "{}", 400, "bad_idempotency_key");
    assert_problem("/effects", "Idempotency-Key: a\tb", "{}", 400, "bad_idempotency_key");
    assert_problem("/effects", "Idempotency-Key;", "{}", 400, "bad_idempotency_key");
    memset(header + start, 'k', 256);
    header[start + 256] = '\0';
    assert_problem("/effects", header, "{}", 400, "bad_idempotency_key");
    assert_int_equal(effects(), before);
    header[start + 255] = '\0';
    struct answer answer = post("/effects", header, "{}");
    assert_int_equal(answer.reply.status, 200);
    answer_release(&answer);
    answer = post("/effects", "Idempotency-Key: '; drop table effect; --", "{}");
    assert_int_equal(answer.reply.status, 400);
    answer_release(&answer);
    answer = post("/effects", "Idempotency-Key: ';drop/**/table/**/effect;--", "{}");
    assert_int_equal(answer.reply.status, 200);
    answer_release(&answer);
}

static void clients_do_not_share_keys(void **state)
{
    AUTO_FREE char *bob = token_bearer(key, "k", 1, "USER", 60);
    AUTO_FREE char *eve = token_bearer(key, "k", 2, "USER", 60);
    AUTO_FREE char *admin = token_bearer(key, "k", 1, "ADMIN", 60);
    AUTO_FREE char *bob_later = token_bearer(key, "k", 1, "USER", 90);
    const char *const clients[] = {bob, eve, admin, bob_later};
    char *bodies[4];
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct answer answer = test_service_ask(
            &service, "POST", "/my-effects", "Idempotency-Key: shared", clients[i], "{}");
        assert_int_equal(answer.reply.status, 200);
        bodies[i] = strdup(answer.reply.body);
        if (i == 3)
            assert_string_equal(answer.replayed, "true"); /* a fresh token of the same user */
        else
            assert_null(answer.replayed);
        answer_release(&answer);
    }
    assert_string_not_equal(bodies[0], bodies[1]);
    assert_string_not_equal(bodies[0], bodies[2]);
    assert_string_equal(bodies[0], bodies[3]);
    for (size_t i = 0; i < 4; i++)
        free(bodies[i]);
    struct answer nobody =
        test_service_ask(&service, "POST", "/my-effects", "Idempotency-Key: shared", NULL, "{}");
    assert_int_equal(nobody.reply.status, 401);
    answer_release(&nobody);
}

struct contender {
    const char *path;
    struct answer answer;
};

static void *contend(void *context)
{
    struct contender *contender = context;
    contender->answer = post(contender->path, "Idempotency-Key: contended", "{}");
    return NULL;
}

static void concurrent_repeats_have_one_effect(void **state)
{
    enum { THREADS = 8 };
    pthread_t threads[THREADS];
    struct contender contenders[THREADS];
    long before = effects();
    int runs_before = runs, fresh = 0;
    (void)state;
    for (size_t i = 0; i < THREADS; i++) {
        contenders[i].path = "/slow";
        assert_int_equal(pthread_create(&threads[i], NULL, contend, &contenders[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(contenders[i].answer.reply.status, 200);
        assert_string_equal(contenders[i].answer.reply.body, contenders[0].answer.reply.body);
        fresh += contenders[i].answer.replayed == NULL;
    }
    for (size_t i = 0; i < THREADS; i++)
        answer_release(&contenders[i].answer);
    assert_int_equal(fresh, 1);
    assert_int_equal(runs - runs_before, 1);
    assert_int_equal(effects(), before + 1);
}

static void a_refusal_is_not_kept(void **state)
{
    long before = effects(), keys_before = keys();
    (void)state;
    assert_problem("/refusals", "Idempotency-Key: refused", "{}", 409, "refused");
    assert_problem("/refusals", "Idempotency-Key: refused", "{}", 409, "refused");
    assert_int_equal(effects(), before);
    assert_int_equal(keys(), keys_before);
}

static void a_failure_tells_nothing(void **state)
{
    long before = effects();
    struct answer answer = post("/failures", "Idempotency-Key: failed", "{}");
    (void)state;
    assert_int_equal(answer.reply.status, 500);
    assert_string_equal(answer.code, "internal");
    assert_null(strstr(answer.reply.body, "secret_detail"));
    assert_null(strstr(answer.reply.headers, "X-Run"));
    answer_release(&answer);
    assert_int_equal(effects(), before);
}

static void a_conflict_is_run_again_with_a_fresh_answer(void **state)
{
    long before = effects();
    struct answer answer = post("/conflicts", "Idempotency-Key: conflict", "{}");
    (void)state;
    assert_int_equal(answer.reply.status, 200);
    const char *first = strstr(answer.reply.headers, "X-Run");
    assert_non_null(first);
    assert_null(strstr(first + 1, "X-Run"));
    answer_release(&answer);
    assert_int_equal(effects(), before + 1);
}

static void keys_expire_and_are_cleaned(void **state)
{
    struct answer first = post("/effects", "Idempotency-Key: old", "{\"a\":1}");
    (void)state;
    free(database_query(service.conninfo,
        "update web.idempotency_key set created_at = now() - interval "
        "'25 hours' where key = 'old'"));
    struct answer second = post("/effects", "Idempotency-Key: old", "{\"a\":2}");
    assert_int_equal(second.reply.status, 200);
    assert_null(second.replayed);
    assert_string_not_equal(first.reply.body, second.reply.body);
    answer_release(&first);
    answer_release(&second);

    free(database_query(service.conninfo,
        "insert into web.idempotency_key (principal, key, request_hash, created_at) "
        "select 'old', n::text, decode(repeat('00', 32), 'hex'), now() - interval '2 days' "
        "from generate_series(1, 300) n"));
    for (int i = 0; i < 2 * 64; i++) {
        char header[64];
        snprintf(header, sizeof(header), "Idempotency-Key: clean-%d", i);
        struct answer answer = post("/effects", header, "{}");
        assert_int_equal(answer.reply.status, 200);
        answer_release(&answer);
    }
    assert_int_equal(database_count(service.conninfo,
                         "select count(*) from web.idempotency_key where principal = 'old'"),
        0);
}

static void a_key_in_use_is_stored_with_its_effect_only(void **state)
{
    (void)state;
    assert_int_equal(database_count(service.conninfo,
                         "select count(*) from web.idempotency_key where body is null"),
        0);
}

static void reads_answer_or_say_what_is_missing(void **state)
{
    struct answer made = post("/effects", NULL, "{}");
    AUTO_JSON json_t *body = json_loads(made.reply.body, 0, NULL);
    char path[64];
    (void)state;
    snprintf(path, sizeof(path), "/effects/%" JSON_INTEGER_FORMAT,
        json_integer_value(json_object_get(body, "id")));
    struct answer found = test_service_ask(&service, "GET", path, NULL, NULL, NULL);
    struct answer missing =
        test_service_ask(&service, "GET", "/effects/999999999", NULL, NULL, NULL);
    assert_int_equal(found.reply.status, 200);
    assert_int_equal(missing.reply.status, 404);
    assert_string_equal(missing.code, "not_found");
    answer_release(&made);
    answer_release(&found);
    answer_release(&missing);
}

static void a_database_away_is_503(void **state)
{
    struct answer before = post("/effects", "Idempotency-Key: away-0", "{}");
    (void)state;
    assert_int_equal(before.reply.status, 200);
    database_stop("immediate");
    struct answer write = post("/effects", "Idempotency-Key: away", "{}");
    struct answer read = test_service_ask(&service, "GET", "/effects/1", NULL, NULL, NULL);
    assert_int_equal(write.reply.status, 503);
    assert_string_equal(write.code, "unavailable");
    AUTO_FREE char *retry_after = client_header(&write.reply, "Retry-After");
    assert_non_null(retry_after);
    assert_int_equal(read.reply.status, 503);
    database_start();
    struct answer read_again = test_service_ask(&service, "GET", "/effects/1", NULL, NULL, NULL);
    struct answer write_again = post("/effects", "Idempotency-Key: away", "{}");
    struct answer replayed = post("/effects", "Idempotency-Key: away-0", "{}");
    assert_int_equal(read_again.reply.status, 200);
    assert_int_equal(write_again.reply.status, 200);
    assert_null(write_again.replayed);
    assert_string_equal(replayed.replayed, "true");
    database_kick(service.conninfo);
    struct answer after_kick = test_service_ask(&service, "GET", "/effects/1", NULL, NULL, NULL);
    assert_int_equal(after_kick.reply.status, 200);
    struct answer *const all[] = {
        &before, &write, &read, &read_again, &write_again, &replayed, &after_kick};
    for (size_t i = 0; i < ARRAY_SIZE(all); i++)
        answer_release(all[i]);
}

static void an_exhausted_pool_is_503(void **state)
{
    struct db *held[TEST_SERVICE_CONNECTIONS];
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(held); i++)
        assert_int_equal(db_acquire(service.pool, &held[i]), 0);
    assert_problem("/effects", NULL, "{}", 503, "unavailable");
    for (size_t i = 0; i < ARRAY_SIZE(held); i++)
        db_release(held[i]);
    struct answer answer = post("/effects", NULL, "{}");
    assert_int_equal(answer.reply.status, 200);
    answer_release(&answer);
}

/* ---- around them ---- */

static int start(void **state)
{
    (void)state;
    key = token_key_new(2048);
    AUTO_FREE char *jwk = token_jwk(key, "k", "");
    AUTO_FREE char *jwks = NULL;
    assert_true(asprintf(&jwks, "{\"keys\":[%s]}", jwk) > 0);
    auth = auth_new(&(struct auth_settings){.issuer = TEST_ISSUER, .audience = TEST_AUDIENCE});
    assert_int_equal(auth_set_jwks(auth, jwks), 0);
    test_service_start(&service, &sql_web,
        "create table effect (id bigint generated always as identity primary key, body text);"
        "insert into effect (body) values ('')",
        ROUTES, ARRAY_SIZE(ROUTES), auth);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    test_service_stop(&service);
    auth_free(auth);
    EVP_PKEY_free(key);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_repeat_gets_the_first_answer),
        cmocka_unit_test(without_a_key_each_counts),
        cmocka_unit_test(another_request_with_the_key_is_refused),
        cmocka_unit_test(bad_keys_are_refused),
        cmocka_unit_test(clients_do_not_share_keys),
        cmocka_unit_test(concurrent_repeats_have_one_effect),
        cmocka_unit_test(a_refusal_is_not_kept),
        cmocka_unit_test(a_failure_tells_nothing),
        cmocka_unit_test(a_conflict_is_run_again_with_a_fresh_answer),
        cmocka_unit_test(keys_expire_and_are_cleaned),
        cmocka_unit_test(a_key_in_use_is_stored_with_its_effect_only),
        cmocka_unit_test(reads_answer_or_say_what_is_missing),
        cmocka_unit_test(an_exhausted_pool_is_503),
        cmocka_unit_test(a_database_away_is_503),
    };
    log_init("test_transact", LOG_LEVEL_ERROR + 1);
    return cmocka_run_group_tests(tests, start, stop);
}
