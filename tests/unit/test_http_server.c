/* The HTTP server over real sockets: answers, refusals, metrics, stopping. Clients that misbehave
 * are in test_http_clients.c. */
#include "shared/base/json.h"
#include "shared/base/log.h"
#include "tests/support/http_fixture.h"
#include "tests/support/raw_http.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static int show_ids(struct http_request *request)
{
    return http_reply_json(request, 200,
        json_pack("{s:I, s:I}", "first", (json_int_t)http_path_id(request, 0), "second",
            (json_int_t)http_path_id(request, 1)));
}

static int show_context(struct http_request *request)
{
    return http_reply_json_text(request, 200, http_event_headers(request));
}

static int read_object(struct http_request *request)
{
    json_t *object;
    int status = http_json_body(request, true, &object);
    if (status)
        return status;
    return http_reply_json(request, 200, json_pack("{s:b}", "empty", object == NULL));
}

static int no_reply(struct http_request *request)
{
    (void)request;
    return 200;
}

static int null_reply(struct http_request *request)
{
    return http_reply_json(request, 200, NULL);
}

static int no_content(struct http_request *request)
{
    return http_reply(request, 204, NULL, NULL, 0);
}

static int unavailable(struct http_request *request)
{
    return http_problem(request, 503, "unavailable", "try \"%s\" later", "\xFF");
}

static int echo_query(struct http_request *request)
{
    const char *value = http_query(request, "q");
    return http_reply_json(request, 200, value ? json_string(value) : json_null());
}

const struct http_route ROUTES[] = {
    {"GET", "/things/{id}/parts/{id}", HTTP_OPEN, show_ids},
    {"POST", "/echo", HTTP_OPEN, echo},
    {"PUT", "/echo", HTTP_OPEN, echo},
    {"GET", "/echo", HTTP_OPEN, echo},
    {"GET", "/context", HTTP_OPEN, show_context},
    {"POST", "/object", HTTP_OPEN, read_object},
    {"GET", "/no-reply", HTTP_OPEN, no_reply},
    {"GET", "/null-reply", HTTP_OPEN, null_reply},
    {"GET", "/no-content", HTTP_OPEN, no_content},
    {"GET", "/unavailable", HTTP_OPEN, unavailable},
    {"GET", "/query", HTTP_OPEN, echo_query},
    {"GET", "/gated", HTTP_OPEN, gated},
};
const size_t ROUTE_COUNT = ARRAY_SIZE(ROUTES);

static void requests_get_their_answers(void **state)
{
    static const struct {
        const char *request;
        int status;
        const char *code; /* of the problem; NULL: none */
        const char *body; /* NULL: any */
    } CASES[] = {
        {"GET /things/3/parts/44 HTTP/1.1\r\nHost: x\r\n\r\n", 200, NULL,
            "{\"first\":3,\"second\":44}"},
        {"HEAD /things/3/parts/44 HTTP/1.1\r\nHost: x\r\n\r\n", 200, NULL, ""},
        {"GET /things/3/parts/x HTTP/1.1\r\nHost: x\r\n\r\n", 400, "bad_path_id", NULL},
        {"GET /things/3/../parts/1 HTTP/1.1\r\nHost: x\r\n\r\n", 400, "bad_path", NULL},
        {"GET /things%2F3/parts/1 HTTP/1.1\r\nHost: x\r\n\r\n", 400, "bad_path", NULL},
        {"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n", 404, "not_found", NULL},
        {"DELETE /echo HTTP/1.1\r\nHost: x\r\n\r\n", 405, "method_not_allowed", NULL},
        {"OPTIONS /echo HTTP/1.1\r\nHost: x\r\n\r\n", 405, "method_not_allowed", NULL},
        {"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello", 200, NULL, "hello"},
        {"PUT /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
         "3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
            200, NULL, "hello"},
        {"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", 200, NULL, ""},
        {"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello", 404, "not_found",
            NULL},
        {"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
         "5\r\nhello\r\n0\r\n\r\n",
            400, "bad_request", NULL},
        {"POST /object HTTP/1.1\r\nHost: x\r\n\r\n", 200, NULL, "{\"empty\":true}"},
        {"POST /object HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}", 200, NULL,
            "{\"empty\":false}"},
        {"POST /object HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n[}", 400, "bad_json", NULL},
        {"GET /query?q=a%20b%26+c HTTP/1.1\r\nHost: x\r\n\r\n", 200, NULL, "\"a b& c\""},
        {"GET /query? HTTP/1.1\r\nHost: x\r\n\r\n", 200, NULL, "null"},
        {"GET /query?q=%zz HTTP/1.1\r\nHost: x\r\n\r\n", 400, "bad_query", NULL},
        {"GET /no-reply HTTP/1.1\r\nHost: x\r\n\r\n", 500, "internal", NULL},
        {"GET /no-content HTTP/1.1\r\nHost: x\r\n\r\n", 204, NULL, ""},
        {"GET /unavailable HTTP/1.1\r\nHost: x\r\n\r\n", 503, "unavailable", NULL},
        {"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n", 200, NULL, "{\"status\":\"OK\"}"},
        {"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n", 200, NULL, "{\"status\":\"OK\"}"},
        {"HEAD /livez HTTP/1.0\r\n\r\n", 200, NULL, ""},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(CASES); i++) {
        int status = exchange(CASES[i].request);
        if (status != CASES[i].status)
            print_error("%s\n", CASES[i].request);
        assert_int_equal(status, CASES[i].status);
        if (CASES[i].code)
            assert_problem(CASES[i].status, CASES[i].code);
        if (CASES[i].body)
            assert_string_equal(response.body, CASES[i].body);
    }
}

static void the_body_may_be_missing_where_memory_is(void **state)
{
    (void)state;
    assert_int_equal(exchange("GET /null-reply HTTP/1.1\r\nHost: x\r\n\r\n"), 500);
    assert_header("Content-Type", "application/problem+json");
    assert_non_null(strstr(response.body, "\"code\":\"internal\""));
}

static void headers_say_what_is_needed(void **state)
{
    (void)state;
    exchange("DELETE /echo HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_header("Allow", "POST, PUT, GET, HEAD");
    exchange("GET /unavailable HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_header("Retry-After", "1");
    exchange("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\na");
    assert_header("X-Total-Count", "2");
    exchange("HEAD /things/3/parts/44 HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_header("Content-Length", "23");
    exchange("GET /livez HTTP/1.1\r\nHost: x\r\nX-Request-Id: my.id-1\r\n\r\n");
    assert_header("X-Request-Id", "my.id-1");
    exchange("GET /livez HTTP/1.1\r\nHost: x\r\nX-Request-Id: my id\r\n\r\n");
    char value[64];
    assert_int_equal(strlen(raw_header(&response, "X-Request-Id", value, sizeof value)), 36);
}

static void identity_goes_into_events(void **state)
{
    (void)state;
    exchange("GET /context HTTP/1.1\r\nHost: x\r\nX-Request-Id: r-7\r\ntraceparent: "
             "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\r\n");
    AUTO_JSON json_t *headers = json_loads(response.body, 0, NULL);
    const char *traceparent, *request_id;
    assert_int_equal(
        json_unpack(headers, "{s:s, s:s}", "traceparent", &traceparent, "requestid", &request_id),
        0);
    assert_string_equal(request_id, "r-7");
    assert_memory_equal(traceparent, "00-0af7651916cd43dd8448eb211c80319c-", 36);
    assert_memory_not_equal(traceparent + 36, "b7ad6b7169203331", 16);
}

static void a_connection_serves_many_requests(void **state)
{
    static const char GET[] = "GET /things/1/parts/2 HTTP/1.1\r\nHost: x\r\n\r\n";
    static const char REFUSED[] =
        "POST /things/1/parts/2 HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc";
    (void)state;
    int fd = raw_connect(http_server_port(server));
    for (int i = 0; i < 50; i++) {
        raw_send_text(fd, i % 2 ? REFUSED : GET);
        raw_receive(fd, 0, &response);
        assert_int_equal(response.status, i % 2 ? 405 : 200);
    }
    raw_send_text(
        fd, "GET /livez HTTP/1.1\r\nHost: x\r\n\r\nGET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n");
    raw_receive(fd, 0, &response);
    assert_int_equal(response.status, 200);
    raw_receive(fd, 0, &response);
    assert_int_equal(response.status, 404);
    close(fd);
}

static void requests_are_counted(void **state)
{
    (void)state;
    exchange("GET /things/3/parts/44 HTTP/1.1\r\nHost: x\r\n\r\n");
    exchange("BREW /nowhere HTTP/1.1\r\nHost: x\r\n\r\n");
    /* A request is counted when its answer has been sent, a moment after the client has it. */
    static const char SEEN[] =
        "http_requests_total{method=\"other\",route=\"none\",status=\"404\"} ";
    static const char METRICS[] = "GET /metrics HTTP/1.1\r\nHost: x\r\n"
                                  "Accept: application/openmetrics-text; version=1.0.0\r\n\r\n";
    for (int i = 0; i < 1000 && (exchange(METRICS) != 200 || !strstr(response.body, SEEN)); i++)
        usleep(10000);
    assert_header("Content-Type", "application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert_non_null(strstr(response.body, SEEN));
    assert_non_null(strstr(response.body,
        "http_requests_total{method=\"GET\",route=\"/things/{id}/parts/{id}\",status=\"200\"} "));
    assert_non_null(strstr(response.body, "http_request_duration_seconds_bucket{method=\"GET\","
                                          "route=\"/things/{id}/parts/{id}\",le=\"0.0005\"} "));
    assert_non_null(strstr(response.body, "\nhttp_requests_in_flight 1\n"));
    assert_non_null(strstr(response.body, "build_info{program=\"test\""));
    assert_int_equal(exchange("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"), 200);
    assert_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8");
}

static void *stop_in_thread(void *unused)
{
    (void)unused;
    http_server_stop(server, 20000);
    return NULL;
}

/* The request in progress ends well, the idle keep-alive connection does not hold it up, nobody
 * new is let in. */
static void stopping_is_graceful(void **state)
{
    pthread_t stopper;
    start(state);
    uint16_t port = http_server_port(server);
    int idle = raw_connect(port);
    raw_send_text(idle, "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n");
    raw_receive(idle, 0, &response);
    assert_int_equal(response.status, 200);
    int busy = raw_connect(port);
    raw_send_text(busy, "GET /gated HTTP/1.1\r\nHost: x\r\n\r\n");
    gate_await(1);

    pthread_create(&stopper, NULL, stop_in_thread, NULL);
    while (!raw_is_refused(port))
        sched_yield();
    raw_send_text(idle, "GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n");
    raw_receive(idle, 0, &response);
    assert_int_equal(response.status, 503);
    assert_header("Connection", "close");
    gate_set(true);
    raw_receive(busy, 0, &response);
    assert_int_equal(response.status, 200);
    assert_header("Connection", "close");
    pthread_join(stopper, NULL);
    close(idle);
    close(busy);

    /* The port is free at once. */
    struct http_settings same = settings_of_test();
    same.port = port;
    assert_int_equal(http_server_start(&same, &server), 0);
    assert_int_equal(http_server_port(server), port);
    struct http_server *second;
    assert_int_equal(http_server_start(&same, &second), -EADDRINUSE);
    stop(state);
}

static void a_wrong_address_is_told(void **state)
{
    struct http_settings settings = settings_of_test();
    struct http_server *none = NULL;
    (void)state;
    settings.address = "192.0.2.1";
    assert_int_equal(http_server_start(&settings, &none), -EADDRNOTAVAIL);
    settings.address = "not an address";
    assert_int_equal(http_server_start(&settings, &none), -EADDRNOTAVAIL);
    static const struct http_route GUARDED[] = {{"GET", "/x", HTTP_USER, echo}};
    settings = settings_of_test();
    settings.routes = GUARDED;
    settings.route_count = 1;
    assert_int_equal(http_server_start(&settings, &none), -EINVAL);
    assert_null(none);
    http_server_stop(NULL, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(requests_get_their_answers, start, stop),
        cmocka_unit_test_setup_teardown(the_body_may_be_missing_where_memory_is, start, stop),
        cmocka_unit_test_setup_teardown(headers_say_what_is_needed, start, stop),
        cmocka_unit_test_setup_teardown(identity_goes_into_events, start, stop),
        cmocka_unit_test_setup_teardown(a_connection_serves_many_requests, start, stop),
        cmocka_unit_test_setup_teardown(requests_are_counted, start, stop),
        cmocka_unit_test(stopping_is_graceful),
        cmocka_unit_test(a_wrong_address_is_told),
    };
    log_init("test", LOG_LEVEL_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
