/* Who may call a route, by tokens over real sockets. */
#include "shared/base/log.h"
#include "shared/http/auth.h"
#include "shared/http/http.h"
#include "tests/support/raw_http.h"
#include "tests/support/tokens.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static EVP_PKEY *key;
static struct auth *auth;
static struct http_server *server;
static struct raw_response response;

static int show_user(struct http_request *request)
{
    const struct auth_claims *claims = http_claims(request);
    return http_reply_json(
        request, 200, json_pack("{s:I}", "user", (json_int_t)(claims ? claims->user_id : 0)));
}

static const struct http_route ROUTES[] = {
    {"GET", "/open", HTTP_OPEN, show_user},
    {"GET", "/token", HTTP_TOKEN, show_user},
    {"GET", "/user", HTTP_USER, show_user},
    {"GET", "/admin", HTTP_ADMIN, show_user},
    {"GET", "/users/{id}", HTTP_OWNER, show_user},
    {"GET", "/users/{id}/orders/{id}", HTTP_OWNER, show_user},
    {"GET", "/ownerless", HTTP_OWNER, show_user}, /* a mistake: nobody owns it */
    {"POST", "/users/{id}", HTTP_OWNER, show_user},
};

static int start(void **state)
{
    (void)state;
    key = token_key_new(2048);
    auth = auth_new(
        &(struct auth_settings){.issuer = TEST_ISSUER, .audience = TEST_AUDIENCE, .leeway_s = 5});
    const struct http_settings settings = {
        .program = "test",
        .address = "127.0.0.1",
        .max_connections = 10,
        .max_body = 1000,
        .idle_timeout_s = 5,
        .routes = ROUTES,
        .route_count = ARRAY_SIZE(ROUTES),
        .auth = auth_for_http(auth),
    };
    return auth && key ? http_server_start(&settings, &server) : -1;
}

static int stop(void **state)
{
    (void)state;
    http_server_stop(server, 1000);
    auth_free(auth);
    EVP_PKEY_free(key);
    return 0;
}

/* The status of a GET with the Authorization header given, or none. */
static int get(const char *path, const char *authorization)
{
    static char request[16384];
    snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: x\r\n%s%s%s\r\n", path,
        authorization ? "Authorization: " : "", authorization ? authorization : "",
        authorization ? "\r\n" : "");
    return raw_exchange(http_server_port(server), request, &response);
}

/* The first test: later ones have the keys. */
static void without_keys_nothing_is_decided(void **state)
{
    (void)state;
    AUTO_FREE char *token = token_bearer(key, "one", 7, "USER", 60);
    assert_int_equal(get("/open", NULL), 200);
    assert_int_equal(get("/user", token), 503);
    assert_non_null(strstr(response.head, "\r\nRetry-After: "));
    assert_int_equal(get("/readyz", NULL), 503);
    assert_int_equal(get("/livez", NULL), 200);

    AUTO_FREE char *jwk = token_jwk(key, "one", "");
    AUTO_FREE char *jwks = NULL;
    assert_true(asprintf(&jwks, "{\"keys\":[%s]}", jwk) > 0);
    assert_int_equal(auth_set_jwks(auth, jwks), 0);
    assert_int_equal(get("/readyz", NULL), 200);
}

static void each_route_has_its_callers(void **state)
{
    static const struct {
        const char *path;
        int without, user_7, user_8, admin_7;
    } CASES[] = {
        {"/open", 200, 200, 200, 200},
        {"/token", 401, 200, 200, 200},
        {"/user", 401, 200, 200, 403},
        {"/admin", 401, 403, 403, 200},
        {"/users/7", 401, 200, 403, 403},
        {"/users/7/orders/8", 401, 200, 403, 403},
        {"/users/8/orders/7", 401, 403, 200, 403},
        {"/ownerless", 401, 403, 403, 403},
        {"/users/x", 400, 400, 400, 400},
        {"/nowhere", 404, 404, 404, 404},
    };
    (void)state;
    AUTO_FREE char *user_7 = token_bearer(key, "one", 7, "USER", 60);
    AUTO_FREE char *user_8 = token_bearer(key, "one", 8, "USER", 60);
    AUTO_FREE char *admin_7 = token_bearer(key, "one", 7, "ADMIN", 60);
    for (size_t i = 0; i < ARRAY_SIZE(CASES); i++) {
        assert_int_equal(get(CASES[i].path, NULL), CASES[i].without);
        assert_int_equal(get(CASES[i].path, user_7), CASES[i].user_7);
        assert_int_equal(get(CASES[i].path, user_8), CASES[i].user_8);
        assert_int_equal(get(CASES[i].path, admin_7), CASES[i].admin_7);
    }
}

static void a_handler_sees_who_calls(void **state)
{
    (void)state;
    AUTO_FREE char *token = token_bearer(key, "one", 7, "USER", 60);
    assert_int_equal(get("/users/7", token), 200);
    assert_string_equal(response.body, "{\"user\":7}");
    assert_int_equal(get("/open", token), 200); /* an open route looks at no token */
    assert_string_equal(response.body, "{\"user\":0}");
}

static void a_refusal_says_how_to_ask(void **state)
{
    char value[128];
    (void)state;
    AUTO_FREE char *expired = token_bearer(key, "one", 7, "USER", -60);
    assert_int_equal(get("/user", NULL), 401);
    assert_string_equal(raw_header(&response, "WWW-Authenticate", value, sizeof value), "Bearer");
    assert_int_equal(get("/user", expired), 401);
    assert_string_equal(raw_header(&response, "WWW-Authenticate", value, sizeof value),
        "Bearer error=\"invalid_token\"");
    assert_non_null(strstr(response.body, "\"code\":\"unauthorized\""));
    assert_null(strstr(response.body, expired + strlen("Bearer ")));
    assert_int_equal(get("/user", "Basic Ym9iOmJvYg=="), 401);
}

/* A body that nobody may send is read and thrown away; the connection stays good. */
static void a_refused_body_is_not_kept(void **state)
{
    (void)state;
    int fd = raw_connect(http_server_port(server));
    for (int i = 0; i < 5; i++) {
        raw_send_text(fd, "POST /users/7 HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello");
        raw_receive(fd, 0, &response);
        assert_int_equal(response.status, 401);
    }
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_keys_nothing_is_decided),
        cmocka_unit_test(each_route_has_its_callers),
        cmocka_unit_test(a_handler_sees_who_calls),
        cmocka_unit_test(a_refusal_says_how_to_ask),
        cmocka_unit_test(a_refused_body_is_not_kept),
    };
    log_init("test", LOG_LEVEL_ERROR);
    return cmocka_run_group_tests(tests, start, stop);
}
