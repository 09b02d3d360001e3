/* Requests against a receiver whose every move is scripted: what is sent, how answers and broken
 * connections are taken, when a connection is used again. */
#include "outbox-relay/http/transport.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define LARGE_BODY ((size_t)8 << 20)
#define NO_CONTENT "HTTP/1.1 204 No Content\r\n\r\n"

/* What the receiver does, one step after the other. */
struct step {
    enum { ACCEPT, TAKE, SAY, HANG_UP, RESET, WAIT, END } action;
    const char *text; /* to say */
};

static struct fixture {
    struct loop *loop;
    struct transport *transport;
    struct transfer *transfer;
    char url[64];
    int listener;
    pthread_t receiver;
    const struct step *steps;
    pthread_barrier_t wait; /* where a script says WAIT, both sides meet */
    char taken[4096];       /* beginning of the last request the receiver has taken */
    size_t taken_length;
    int accepted, requests;
    /* The last response. */
    int outcome, status;
    int64_t retry_after_s;
    char body[256], error[256];
} f;

/* Receiver ---------------------------------------------------------------------------------------
 */

/* Takes one request, as long as its content-length says. */
static void take(int fd)
{
    static char data[LARGE_BODY + 4096];
    size_t length = 0;
    for (;;) {
        ssize_t got = read(fd, data + length, sizeof(data) - 1 - length);
        if (got <= 0)
            return;
        length += (size_t)got;
        data[length] = '\0';
        const char *end = strstr(data, "\r\n\r\n"), *field = strstr(data, "Content-Length: ");
        if (end && field && length >= (size_t)(end + 4 - data) + strtoul(field + 16, NULL, 10))
            break;
    }
    f.requests++;
    f.taken_length = length;
    snprintf(f.taken, sizeof(f.taken), "%.4000s", data);
}

static int accept_one(void)
{
    int fd = accept(f.listener, NULL, NULL);
    f.accepted++;
    return fd;
}

static void hang_up(int *fd, bool reset)
{
    struct linger linger = {.l_onoff = 1};
    if (reset)
        setsockopt(*fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void *run_receiver(void *context)
{
    int fd = -1;
    (void)context;
    for (const struct step *step = f.steps; step->action != END; step++) {
        switch (step->action) {
        case ACCEPT:
            hang_up(&fd, false);
            fd = accept_one();
            break;
        case TAKE:
            take(fd);
            break;
        case SAY:
            if (write(fd, step->text, strlen(step->text)) < 0)
                return NULL;
            break;
        case WAIT:
            pthread_barrier_wait(&f.wait);
            break;
        default:
            hang_up(&fd, step->action == RESET);
        }
    }
    hang_up(&fd, false);
    return NULL;
}

static void play(const struct step *steps)
{
    f.steps = steps;
    assert_int_equal(pthread_create(&f.receiver, NULL, run_receiver, NULL), 0);
}

static void played(void)
{
    pthread_join(f.receiver, NULL);
}

/* Sender -----------------------------------------------------------------------------------------
 */

static void on_done(void *context, const struct response *response)
{
    (void)context;
    f.outcome = (int)response->outcome;
    f.status = response->status;
    f.retry_after_s = response->retry_after_s;
    snprintf(f.body, sizeof(f.body), "%s", response->body);
    snprintf(f.error, sizeof(f.error), "%s", response->error ? response->error : "");
    loop_stop(f.loop);
}

static int set_up_with(const char *user)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof(address);
    f = (struct fixture){.listener = socket(AF_INET, SOCK_STREAM, 0)};
    static const struct transport_settings SETTINGS = {.user_agent = "test/1",
        .proxy = "",
        .ca_file = "",
        .connect_timeout_ms = 5000,
        .connection_age_s = 60};
    if (bind(f.listener, (struct sockaddr *)&address, size) < 0 || listen(f.listener, 8) < 0 ||
        getsockname(f.listener, (struct sockaddr *)&address, &size) < 0)
        return -1;
    snprintf(f.url, sizeof(f.url), "http://%s127.0.0.1:%d/a/b?c=d", user, ntohs(address.sin_port));
    pthread_barrier_init(&f.wait, NULL, 2);
    return loop_new(&f.loop) < 0 || transport_new(f.loop, &SETTINGS, &f.transport) < 0 ||
                   transfer_new(f.transport, on_done, NULL, &f.transfer) < 0
               ? -1
               : 0;
}

static int set_up(void **state)
{
    (void)state;
    return set_up_with("");
}

/* A URL that is left to libcurl. */
static int set_up_by_libcurl(void **state)
{
    (void)state;
    return set_up_with("user:secret@");
}

static int tear_down(void **state)
{
    (void)state;
    transfer_free(f.transfer);
    transport_free(f.transport);
    loop_free(f.loop);
    close(f.listener);
    pthread_barrier_destroy(&f.wait);
    return 0;
}

static struct request request_of(const char *body, size_t length)
{
    return (struct request){.url = f.url,
        .content_type = "application/json",
        .webhook_id = "id-1",
        .webhook_timestamp = "1700000000",
        .webhook_signature = "v1,abc=",
        .body = body,
        .body_length = length,
        .timeout_ms = 5000};
}

static void post(const struct request *request)
{
    assert_int_equal(transfer_start(f.transfer, request), 0);
    assert_int_equal(loop_run(f.loop), 0);
}

static void post_text(const char *body)
{
    struct request request = request_of(body, strlen(body));
    post(&request);
}

static void expect_status(int status, const char *body)
{
    assert_string_equal(f.error, "");
    assert_int_equal(f.outcome, RESPONSE_STATUS);
    assert_int_equal(f.status, status);
    assert_string_equal(f.body, body);
}

/* Tests ------------------------------------------------------------------------------------------
 */

static void the_request_is_as_agreed(void **state)
{
    static const struct step STEPS[] = {{ACCEPT, 0}, {TAKE, 0}, {SAY, NO_CONTENT}, {END, 0}};
    char expected[512];
    (void)state;
    play(STEPS);
    post_text("{\"a\":1}");
    played();
    expect_status(204, "");
    snprintf(expected, sizeof(expected),
        "POST /a/b?c=d HTTP/1.1\r\nHost: %.*s\r\nUser-Agent: test/1\r\nAccept: */*\r\n"
        "Content-Type: application/json\r\nwebhook-id: id-1\r\nwebhook-timestamp: 1700000000\r\n"
        "webhook-signature: v1,abc=\r\nContent-Length: 7\r\n\r\n{\"a\":1}",
        (int)strcspn(f.url + 7, "/"), f.url + 7);
    assert_string_equal(f.taken, expected);
}

static void a_connection_is_kept(void **state)
{
    static const struct step STEPS[] = {{ACCEPT, 0}, {TAKE, 0}, {SAY, NO_CONTENT}, {TAKE, 0},
        {SAY, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"},
        {TAKE, 0}, {SAY, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 20"},
        {SAY, "1 Created\r\nContent-Length: 3\r\n\r\nab"}, {SAY, "c"}, {END, 0}};
    (void)state;
    play(STEPS);
    post_text("1");
    expect_status(204, "");
    post_text("2");
    expect_status(200, "{}");
    post_text("3");
    played();
    expect_status(201, "abc");
    assert_int_equal(f.accepted, 1);
}

static void a_connection_is_not_kept(void **state)
{
    static const struct step STEPS[] = {{ACCEPT, 0}, {TAKE, 0},
        {SAY, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"}, {ACCEPT, 0},
        {TAKE, 0}, {SAY, "HTTP/1.0 200 OK\r\n\r\ntext"}, {HANG_UP, 0}, {ACCEPT, 0}, {TAKE, 0},
        {SAY, NO_CONTENT "more than asked for"}, {ACCEPT, 0}, {TAKE, 0}, {SAY, NO_CONTENT},
        {END, 0}};
    (void)state;
    play(STEPS);
    post_text("1");
    expect_status(200, "");
    post_text("2");
    expect_status(200, "text");
    post_text("3");
    expect_status(204, "");
    post_text("4");
    played();
    expect_status(204, "");
    assert_int_equal(f.accepted, 4);
}

/* The receiver has closed the idle connection, which is not known when the next request is sent. */
static void a_stale_connection_is_no_failure(void **state)
{
    static const struct step STEPS[] = {{ACCEPT, 0}, {TAKE, 0}, {SAY, NO_CONTENT}, {HANG_UP, 0},
        {WAIT, 0}, {ACCEPT, 0}, {TAKE, 0}, {SAY, NO_CONTENT}, {TAKE, 0}, {RESET, 0}, {ACCEPT, 0},
        {TAKE, 0}, {SAY, NO_CONTENT}, {END, 0}};
    (void)state;
    play(STEPS);
    post_text("1");
    pthread_barrier_wait(&f.wait);
    post_text("2");
    expect_status(204, "");
    post_text("3"); /* reset after it was taken, before any answer */
    played();
    expect_status(204, "");
    assert_int_equal(f.accepted, 3);
    assert_int_equal(f.requests, 4);
}

static void a_fresh_connection_that_breaks_is_a_failure(void **state)
{
    static const struct step STEPS[] = {
        {ACCEPT, 0}, {TAKE, 0}, {HANG_UP, 0}, {ACCEPT, 0}, {TAKE, 0}, {RESET, 0}, {END, 0}};
    (void)state;
    play(STEPS);
    post_text("1");
    assert_int_equal(f.outcome, RESPONSE_BROKEN);
    assert_non_null(strstr(f.error, "closed"));
    post_text("2");
    played();
    assert_int_equal(f.outcome, RESPONSE_BROKEN);
    assert_int_equal(f.requests, 2);
}

static void a_broken_answer_is_a_failure(void **state)
{
    static const char *const ANSWERS[] = {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc", "HTTP/1.1 20",
        "SSH-2.0-OpenSSH_9.2\r\n", "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"};
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(ANSWERS); i++) {
        const struct step steps[] = {
            {ACCEPT, 0}, {TAKE, 0}, {SAY, ANSWERS[i]}, {HANG_UP, 0}, {END, 0}};
        play(steps);
        post_text("1");
        played();
        assert_int_equal(f.outcome, RESPONSE_BROKEN);
        assert_true(*f.error);
    }
}

static void nobody_listens(void **state)
{
    (void)state;
    close(f.listener);
    post_text("1");
    assert_int_equal(f.outcome, RESPONSE_NO_CONNECT);
    assert_true(*f.error);
}

static void no_answer_is_waited_for_so_long(void **state)
{
    static const struct step STEPS[] = {{ACCEPT, 0}, {TAKE, 0}, {SAY, NO_CONTENT}, {TAKE, 0},
        {SAY, "HTTP/1.1 200 OK\r\n"}, {WAIT, 0}, {ACCEPT, 0}, {TAKE, 0}, {SAY, NO_CONTENT},
        {END, 0}};
    (void)state;
    struct request request = request_of("x", 1);
    play(STEPS);
    post(&request);
    request.timeout_ms = 50; /* shorter than that of the request before, whose timer still runs */
    post(&request);
    assert_int_equal(f.outcome, RESPONSE_TIMEOUT);
    pthread_barrier_wait(&f.wait);
    post_text("again");
    played();
    expect_status(204, "");
}

static void retry_after_has_two_forms(void **state)
{
    static const struct {
        const char *answer;
        int64_t least, most;
    } cases[] = {
        {"HTTP/1.1 503 Busy\r\nRetry-After: 120\r\nContent-Length: 0\r\n\r\n", 120, 120},
        {"HTTP/1.1 429 Slow\r\nRetry-After: Fri, 31 Dec 2098 23:59:59 GMT\r\nContent-Length: "
         "0\r\n\r\n",
            86400, INT64_MAX},
        {"HTTP/1.1 503 Busy\r\nRetry-After: Fri, 31 Dec 1999 23:59:59 GMT\r\nContent-Length: "
         "0\r\n\r\n",
            -1, -1},
        {"HTTP/1.1 503 Busy\r\nRetry-After: soon\r\nContent-Length: 0\r\n\r\n", -1, -1},
        {"HTTP/1.1 301 There\r\nLocation: /else\r\nRetry-After: 120\r\nContent-Length: "
         "0\r\n\r\n",
            120, 120},
        {"HTTP/1.1 408 Late\r\nRetry-After: 120\r\nContent-Length: 0\r\n\r\n", 120, 120},
        {"HTTP/1.1 425 Early\r\nRetry-After: 120\r\nContent-Length: 0\r\n\r\n", 120, 120},
        {"HTTP/1.1 502 Lost\r\nRetry-After: 120\r\nContent-Length: 0\r\n\r\n", 120, 120},
        {"HTTP/1.1 404 No\r\nRetry-After: 120\r\nContent-Length: 0\r\n\r\n", 120, 120},
        {"HTTP/1.1 500 No\r\nRetry-After: 120\r\nContent-Length: 0\r\n\r\n", 120, 120},
        {"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", -1, -1},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        const struct step steps[] = {
            {ACCEPT, 0}, {TAKE, 0}, {SAY, cases[i].answer}, {HANG_UP, 0}, {END, 0}};
        play(steps);
        post_text("1");
        played();
        assert_int_equal(f.outcome, RESPONSE_STATUS);
        assert_true(f.retry_after_s >= cases[i].least && f.retry_after_s <= cases[i].most);
    }
}

/* More than fits into the buffers of the connection, so that it is sent in parts. */
static void large_bodies_are_sent(void **state)
{
    static const struct step STEPS[] = {{ACCEPT, 0}, {TAKE, 0}, {SAY, NO_CONTENT}, {END, 0}};
    (void)state;
    AUTO_FREE char *body = malloc(LARGE_BODY + 1);
    memset(body, 'x', LARGE_BODY);
    body[LARGE_BODY] = '\0';
    struct request request = request_of(body, LARGE_BODY);
    play(STEPS);
    post(&request);
    played();
    expect_status(204, "");
    assert_true(f.taken_length > LARGE_BODY);
}

/* A receiver may refuse before it has read everything. */
static void an_early_answer_counts(void **state)
{
    static const struct step STEPS[] = {{ACCEPT, 0},
        {SAY, "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\n{}"}, {WAIT, 0}, {END, 0}};
    (void)state;
    AUTO_FREE char *body = calloc(1, LARGE_BODY);
    struct request request = request_of(body, LARGE_BODY);
    play(STEPS);
    post(&request);
    expect_status(413, "{}");
    pthread_barrier_wait(&f.wait);
    played();
}

static void a_transfer_can_be_broken_off(void **state)
{
    static const struct step STEPS[] = {{ACCEPT, 0}, {END, 0}};
    (void)state;
    struct request request = request_of("x", 1);
    assert_int_equal(transfer_start(f.transfer, &request), 0);
    assert_int_equal(transfer_start(f.transfer, &request), -EBUSY);
    transfer_free(f.transfer);
    assert_int_equal(transfer_new(f.transport, on_done, NULL, &f.transfer), 0);
    play(STEPS);
    request.timeout_ms = 5000;
    post(&request);
    played();
}

#define BY_HTTP1(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
#define BY_LIBCURL(test) \
    { \
#test " by libcurl", test, set_up_by_libcurl, tear_down, NULL \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        BY_HTTP1(the_request_is_as_agreed),
        BY_HTTP1(a_connection_is_kept),
        BY_HTTP1(a_connection_is_not_kept),
        BY_HTTP1(a_stale_connection_is_no_failure),
        BY_HTTP1(a_fresh_connection_that_breaks_is_a_failure),
        BY_HTTP1(a_broken_answer_is_a_failure),
        BY_HTTP1(nobody_listens),
        BY_HTTP1(no_answer_is_waited_for_so_long),
        BY_HTTP1(retry_after_has_two_forms),
        BY_HTTP1(large_bodies_are_sent),
        BY_HTTP1(an_early_answer_counts),
        BY_HTTP1(a_transfer_can_be_broken_off),
        BY_LIBCURL(a_connection_is_kept),
        BY_LIBCURL(a_stale_connection_is_no_failure),
        BY_LIBCURL(nobody_listens),
        BY_LIBCURL(no_answer_is_waited_for_so_long),
        BY_LIBCURL(retry_after_has_two_forms),
        BY_LIBCURL(large_bodies_are_sent),
        BY_LIBCURL(a_transfer_can_be_broken_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
