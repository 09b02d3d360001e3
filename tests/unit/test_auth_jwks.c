/* The JWKS that is fetched from a server, kept, and rotated. */
#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/http/auth.h"
#include "shared/http/http.h"
#include "tests/support/keys.h"
#include "tests/support/tokens.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

#include <cmocka.h>

static struct {
    atomic_int requests;
    atomic_int status;
    const char *_Atomic jwks;
} served;

static int serve_jwks(struct http_request *request)
{
    atomic_fetch_add(&served.requests, 1);
    return http_reply_json_text(request, served.status, served.jwks);
}

static const struct http_route JWKS_ROUTES[] = {{"GET", "/jwk", HTTP_OPEN, serve_jwks}};

static struct http_server *start_jwks_server(const char *jwks, char ret_url[64])
{
    const struct http_settings settings = {
        .program = "test",
        .address = "127.0.0.1",
        .max_connections = 64,
        .max_body = 1024,
        .idle_timeout_s = 5,
        .routes = JWKS_ROUTES,
        .route_count = ARRAY_SIZE(JWKS_ROUTES),
    };
    struct http_server *server = NULL;
    served.requests = 0;
    served.status = 200;
    served.jwks = jwks;
    assert_int_equal(http_server_start(&settings, &server), 0);
    snprintf(ret_url, 64, "http://127.0.0.1:%u/jwk", http_server_port(server));
    return server;
}

static void nap(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
}

static void wait_until_ready(struct auth *auth)
{
    for (time_t end = time(NULL) + 10; !auth_ready(auth) && time(NULL) < end;)
        nap();
    assert_true(auth_ready(auth));
}

/* Checks until the token is taken, as a client that tries again would. */
static void wait_until_taken(struct auth *auth, const char *token)
{
    const char *reason = NULL;
    int taken = check(auth, token, &reason);
    for (time_t end = time(NULL) + 10; taken < 0 && time(NULL) < end;) {
        nap();
        taken = check(auth, token, &reason);
    }
    assert_int_equal(taken, 0);
}

static void follows_a_rotation_without_a_reload(void **state)
{
    char url[64];
    struct http_server *server = start_jwks_server(jwks_one, url);
    struct auth *auth = auth_with(url);
    AUTO_FREE char *claims = token_claims(7, "USER", 60);
    AUTO_FREE char *by_one = token_sign(key_one, HEADER_ONE, claims);
    AUTO_FREE char *by_two = token_sign(key_two, "{\"alg\":\"RS256\",\"kid\":\"two\"}", claims);
    (void)state;
    wait_until_ready(auth);
    wait_until_taken(auth, by_one);
    served.jwks = jwks_both;
    wait_until_taken(auth, by_two);
    wait_until_taken(auth, by_one);

    /* What can't be used, or can't be had, changes nothing. */
    served.jwks = "{\"keys\":[]}";
    AUTO_FREE char *unknown = token_sign(key_two, "{\"alg\":\"RS256\",\"kid\":\"?\"}", claims);
    int before = served.requests;
    const char *reason = NULL;
    for (time_t end = time(NULL) + 10; served.requests == before && time(NULL) < end; nap())
        assert_int_equal(check(auth, unknown, &reason), -EACCES);
    assert_true(served.requests > before);
    wait_until_taken(auth, by_two);
    http_server_stop(server, 1000);
    assert_int_equal(check(auth, unknown, &reason), -EACCES);
    wait_until_taken(auth, by_one);
    auth_free(auth);
}

static void *send_unknown_kids(void *context)
{
    struct auth *auth = context;
    AUTO_FREE char *claims = token_claims(7, "USER", 60);
    for (int i = 0; i < 200; i++) {
        AUTO_FREE char *header =
            text_of("{\"alg\":\"RS256\",\"kid\":\"random-%p-%d\"}", (void *)&claims, i);
        AUTO_FREE char *token = token_unsigned(header, claims);
        AUTO_FREE char *bearer = text_of("Bearer %sAAAA", token);
        struct auth_claims ignored;
        const char *reason = NULL;
        if (auth_check(auth, bearer, &ignored, &reason) != -EACCES)
            return auth;
    }
    return NULL;
}

static void unknown_keys_cause_one_fetch_a_second(void **state)
{
    char url[64];
    struct http_server *server = start_jwks_server(jwks_one, url);
    struct auth *auth = auth_with(url);
    pthread_t threads[8];
    (void)state;
    wait_until_ready(auth);
    int64_t start_ms = clock_ms();
    for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, send_unknown_kids, auth), 0);
    for (size_t i = 0; i < ARRAY_SIZE(threads); i++) {
        void *failed = NULL;
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    assert_true(served.requests <= 2 + (int)((clock_ms() - start_ms) / 1000) + 1);
    auth_free(auth);
    http_server_stop(server, 1000);
}

static void keeps_trying_until_it_has_keys(void **state)
{
    char url[64];
    struct http_server *server = start_jwks_server("{}", url);
    served.status = 500;
    struct auth *auth = auth_with(url);
    AUTO_FREE char *claims = token_claims(7, "USER", 60);
    AUTO_FREE char *token = token_sign(key_one, HEADER_ONE, claims);
    const char *reason = NULL;
    (void)state;
    assert_int_equal(check(auth, token, &reason), -ENOTCONN);
    assert_false(auth_ready(auth));
    served.jwks = jwks_one;
    served.status = 200;
    wait_until_ready(auth);
    assert_int_equal(check(auth, token, &reason), 0);
    auth_free(auth);
    http_server_stop(server, 1000);
}

static void a_document_too_large_is_not_taken(void **state)
{
    char url[64];
    AUTO_FREE char *jwk = token_jwk(key_one, "one", "");
    AUTO_FREE char *large = text_of("{\"keys\":[%s],\"x\":\"%070000d\"}", jwk, 1);
    struct http_server *server = start_jwks_server(large, url);
    struct auth *auth = auth_with(url);
    (void)state;
    for (time_t end = time(NULL) + 10; served.requests < 2 && time(NULL) < end;)
        nap();
    assert_true(served.requests >= 2);
    assert_false(auth_ready(auth));
    auth_free(auth);
    http_server_stop(server, 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(follows_a_rotation_without_a_reload),
        cmocka_unit_test(unknown_keys_cause_one_fetch_a_second),
        cmocka_unit_test(keeps_trying_until_it_has_keys),
        cmocka_unit_test(a_document_too_large_is_not_taken),
    };
    log_init("test_auth_jwks", LOG_LEVEL_ERROR);
    return cmocka_run_group_tests(tests, make_keys, free_keys);
}
