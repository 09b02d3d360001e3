/* See http_fixture.h. */
#include "tests/support/http_fixture.h"
#include "shared/base/json.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

struct http_server *server;
struct raw_response response;

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int waiting;
    bool open;
} gate = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

void gate_set(bool open)
{
    pthread_mutex_lock(&gate.lock);
    gate.open = open;
    pthread_cond_broadcast(&gate.changed);
    pthread_mutex_unlock(&gate.lock);
}

void gate_await(int waiting)
{
    pthread_mutex_lock(&gate.lock);
    while (gate.waiting != waiting)
        pthread_cond_wait(&gate.changed, &gate.lock);
    pthread_mutex_unlock(&gate.lock);
}

int gated(struct http_request *request)
{
    pthread_mutex_lock(&gate.lock);
    gate.waiting++;
    pthread_cond_broadcast(&gate.changed);
    while (!gate.open)
        pthread_cond_wait(&gate.changed, &gate.lock);
    gate.waiting--;
    pthread_cond_broadcast(&gate.changed);
    pthread_mutex_unlock(&gate.lock);
    return http_reply_json_text(request, 200, "{\"gate\":\"passed\"}");
}

int echo(struct http_request *request)
{
    size_t length;
    const void *body = http_body(request, &length);
    http_reply_header(request, "X-Total-Count", "1");
    http_reply_header(request, "x-total-count", "2");
    return http_reply(request, 200, "application/octet-stream", body, length);
}

struct http_settings settings_of_test(void)
{
    return (struct http_settings){
        .program = "test",
        .address = "127.0.0.1",
        .max_connections = MAX_CONNECTIONS,
        .max_body = MAX_BODY,
        .idle_timeout_s = 1,
        .routes = ROUTES,
        .route_count = ROUTE_COUNT,
    };
}

int start(void **state)
{
    (void)state;
    gate_set(false);
    const struct http_settings settings = settings_of_test();
    return http_server_start(&settings, &server);
}

int stop(void **state)
{
    (void)state;
    gate_set(true);
    http_server_stop(server, 10000);
    server = NULL;
    return 0;
}

int exchange(const char *request)
{
    return raw_exchange(http_server_port(server), request, &response);
}

void assert_header(const char *name, const char *expected)
{
    char value[256];
    const char *found = raw_header(&response, name, value, sizeof value);
    if (!found || strcmp(found, expected) != 0)
        print_error("%s in:\n%s", name, response.head);
    assert_non_null(found);
    assert_string_equal(found, expected);
}

void assert_problem(int status, const char *code)
{
    char type[128];
    snprintf(type, sizeof type, "https://arch.homework/problems/%s", code);
    AUTO_JSON json_t *problem = json_loads(response.body, JSON_REJECT_DUPLICATES, NULL);
    if (!problem)
        print_error("%s%s\n", response.head, response.body);
    assert_non_null(problem);
    assert_header("Content-Type", "application/problem+json");
    assert_int_equal(json_integer_value(json_object_get(problem, "status")), status);
    assert_string_equal(json_string_value(json_object_get(problem, "code")), code);
    assert_string_equal(json_string_value(json_object_get(problem, "type")), type);
    assert_non_null(json_object_get(problem, "title"));
    assert_header("X-Request-Id", json_string_value(json_object_get(problem, "requestId")));
}
