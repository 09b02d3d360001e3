/* Clients that misbehave towards the HTTP server, over real sockets: garbage, bodies without end,
 * silence, slowness, leaving in the middle, too many at once. */
#include "shared/base/log.h"
#include "tests/support/http_fixture.h"
#include "tests/support/raw_http.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static int slow(struct http_request *request)
{
    sleep(2); /* longer than idle_timeout_s */
    return http_reply_json_text(request, 200, "{\"slow\":true}");
}

static int large(struct http_request *request)
{
    const size_t length = 200000;
    AUTO_FREE char *body = calloc(1, length);
    return http_reply(request, 200, "application/octet-stream", body, length);
}

const struct http_route ROUTES[] = {
    {"POST", "/echo", HTTP_OPEN, echo},
    {"PUT", "/echo", HTTP_OPEN, echo},
    {"GET", "/echo", HTTP_OPEN, echo},
    {"GET", "/gated", HTTP_OPEN, gated},
    {"GET", "/slow", HTTP_OPEN, slow},
    {"GET", "/large", HTTP_OPEN, large},
};
const size_t ROUTE_COUNT = ARRAY_SIZE(ROUTES);

/* Whatever is no HTTP is refused or cut off, and the next client is served. */
static void garbage_does_no_harm(void **state)
{
    static const char *const CASES[] = {
        "\r\n\r\n\r\n",
        "GET\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "GET /echo\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01\xFC\x03\x03",
        "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: abc\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999999\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "PUT /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
        "GET /echo HTTP/1.1\r\n\r\n", /* no Host */
        "GET /echo HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n",
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(CASES); i++) {
        int fd = raw_connect(http_server_port(server));
        raw_send_text(fd, CASES[i]);
        shutdown(fd, SHUT_WR);
        raw_receive(fd, 0, &response);
        assert_true(response.status == 0 || (response.status >= 400 && response.status < 600));
        close(fd);
        assert_int_equal(exchange("GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"), 200);
    }
}

/* Bodies around the limit, with and without an announced length, and far beyond it: the client has
 * sent all of it and still reads the answer. */
static void bodies_have_a_limit(void **state)
{
    static const struct {
        size_t length;
        bool chunked;
        int status;
    } CASES[] = {
        {MAX_BODY, false, 200},
        {MAX_BODY, true, 200},
        {MAX_BODY + 1, false, 413},
        {MAX_BODY + 1, true, 413},
        {10000000, false, 413},
        {10000000, true, 413},
    };
    char *body = malloc(10000000);
    (void)state;
    assert_non_null(body);
    memset(body, 'x', 10000000);
    for (size_t i = 0; i < ARRAY_SIZE(CASES); i++) {
        char head[256], chunk[32];
        int fd = raw_connect(http_server_port(server));
        snprintf(chunk, sizeof chunk, "%zu", CASES[i].length);
        snprintf(head, sizeof head, "POST /echo HTTP/1.1\r\nHost: x\r\n%s: %s\r\n\r\n",
            CASES[i].chunked ? "Transfer-Encoding" : "Content-Length",
            CASES[i].chunked ? "chunked" : chunk);
        raw_send_text(fd, head);
        snprintf(chunk, sizeof chunk, "%zx\r\n", CASES[i].length);
        if (CASES[i].chunked)
            raw_send_text(fd, chunk);
        assert_int_equal(raw_send(fd, body, CASES[i].length), CASES[i].length);
        if (CASES[i].chunked)
            raw_send_text(fd, "\r\n0\r\n\r\n");
        raw_receive(fd, 0, &response);
        assert_int_equal(response.status, CASES[i].status);
        if (response.status == 413)
            assert_problem(413, "payload_too_large");
        else
            assert_int_equal(response.length, CASES[i].length);
        raw_send_text(fd, "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n");
        raw_receive(fd, 0, &response);
        assert_int_equal(response.status, 200); /* the connection is still good */
        close(fd);
    }
    free(body);
}

static void a_waiting_client_is_refused_at_once(void **state)
{
    (void)state;
    assert_int_equal(exchange("POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
                              "Content-Length: 10000000\r\n\r\n"),
        413);
    assert_problem(413, "payload_too_large");
    assert_header("Connection", "close");
    assert_int_equal(exchange("POST /echo HTTP/1.1\r\nHost: x\r\n"
                              "Content-Length: 100000000000\r\n\r\n"),
        413);
    assert_int_equal(exchange("POST /nowhere HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
                              "Content-Length: 10\r\n\r\n"),
        404);

    int fd = raw_connect(http_server_port(server));
    raw_send_text(fd, "POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
                      "Content-Length: 5\r\n\r\n");
    raw_receive(fd, 1, &response);
    assert_int_equal(response.status, 100);
    raw_send_text(fd, "hello");
    raw_receive(fd, 0, &response);
    assert_int_equal(response.status, 200);
    assert_string_equal(response.body, "hello");
    close(fd);
}

/* Silent from the start, in the headers, in the body: cut off by the idle timeout. */
static void a_silent_client_is_cut_off(void **state)
{
    static const char *const CASES[] = {"", "GET /echo HT", "GET /echo HTTP/1.1\r\nHost: ",
        "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhel"};
    int fds[ARRAY_SIZE(CASES)];
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(CASES); i++) {
        fds[i] = raw_connect(http_server_port(server));
        raw_send_text(fds[i], CASES[i]);
    }
    for (size_t i = 0; i < ARRAY_SIZE(CASES); i++) {
        assert_true(raw_is_closed(fds[i]));
        close(fds[i]);
    }
}

/* One byte a moment: never idle, yet it ends. */
static void drip(const char *head)
{
    int fd = raw_connect(http_server_port(server));
    raw_send_text(fd, head);
    for (int i = 0; i < 300; i++) {
        usleep(100000); /* the pace of the attack, not a wait */
        if (raw_send(fd, "x", 1) != 1)
            break;
        assert_true(i < 150);
    }
    close(fd);
}

static void a_dripping_body_is_cut_off(void **state)
{
    (void)state;
    drip("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9999\r\n\r\n");
}

static void dripping_headers_are_cut_off(void **state)
{
    (void)state;
    drip("POST /echo HTTP/1.1\r\nHost: x\r\nX-Slow: ");
}

static void a_slow_answer_is_not_thrown_away(void **state)
{
    (void)state;
    assert_int_equal(exchange("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n"), 200);
    assert_string_equal(response.body, "{\"slow\":true}");
}

static void a_client_that_leaves_harms_nothing(void **state)
{
    (void)state;
    for (int i = 0; i < 10; i++) {
        int fd = raw_connect(http_server_port(server));
        raw_send_text(fd, "GET /gated HTTP/1.1\r\nHost: x\r\n\r\n");
        gate_await(i + 1);
        const struct linger reset = {.l_onoff = 1};
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        close(fd);
    }
    gate_set(true);
    gate_await(0);
    for (int i = 0; i < 10; i++) {
        int fd = raw_connect(http_server_port(server));
        raw_send_text(fd, "GET /large HTTP/1.1\r\nHost: x\r\n\r\n");
        close(fd);
    }
    assert_int_equal(exchange("GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"), 200);
}

static void connections_are_bounded(void **state)
{
    int fds[MAX_CONNECTIONS];
    (void)state;
    for (int i = 0; i < MAX_CONNECTIONS; i++) {
        fds[i] = raw_connect(http_server_port(server));
        raw_send_text(fds[i], "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n");
        raw_receive(fds[i], 0, &response);
        assert_int_equal(response.status, 200);
    }
    assert_int_equal(exchange("GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"), 0);
    for (int i = 0; i < MAX_CONNECTIONS; i++)
        close(fds[i]);
    /* Places are free again as soon as the server has noticed. */
    for (int i = 0; i < 1000 && exchange("GET /livez HTTP/1.1\r\nHost: x\r\n\r\n") != 200; i++)
        usleep(10000);
    assert_int_equal(response.status, 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(garbage_does_no_harm, start, stop),
        cmocka_unit_test_setup_teardown(bodies_have_a_limit, start, stop),
        cmocka_unit_test_setup_teardown(a_waiting_client_is_refused_at_once, start, stop),
        cmocka_unit_test_setup_teardown(a_silent_client_is_cut_off, start, stop),
        cmocka_unit_test_setup_teardown(a_dripping_body_is_cut_off, start, stop),
        cmocka_unit_test_setup_teardown(dripping_headers_are_cut_off, start, stop),
        cmocka_unit_test_setup_teardown(a_slow_answer_is_not_thrown_away, start, stop),
        cmocka_unit_test_setup_teardown(a_client_that_leaves_harms_nothing, start, stop),
        cmocka_unit_test_setup_teardown(connections_are_bounded, start, stop),
    };
    log_init("test", LOG_LEVEL_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
