/* The two ways of the relay's requests beside each other, without database and lanes:
 * client http1|libcurl URL REQUESTS CONNECTIONS
 * Posts one event so often, on so many connections at once, each request as soon as the connection
 * has its answer. Prints a JSON object: seconds from the first request to the last answer, and the
 * processor time of this process in them. */
#include "outbox-relay/event/cloudevent.h"
#include "outbox-relay/http/answer_body.h"
#include "outbox-relay/http/curl_loop.h"
#include "outbox-relay/http/curl_transfer.h"
#include "outbox-relay/http/http1_transfer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#define MAX_CONNECTIONS 64

struct connection {
    struct http1_transfer *by_http1; /* or else */
    struct curl_transfer *by_libcurl;
    struct answer_body body;
};

static struct {
    struct loop *loop;
    struct curl_loop *curl;
    struct connection connections[MAX_CONNECTIONS];
    struct request request;
    size_t answer_bytes;
    long to_start, to_end;
} run;

static _Noreturn void fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("client: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(1);
}

static void start(struct connection *connection)
{
    run.to_start--;
    int ret = connection->by_http1 ? http1_transfer_start(connection->by_http1, &run.request)
                                   : curl_transfer_start(connection->by_libcurl, &run.request);
    if (ret < 0)
        fail("a request can't be started: %s", strerror(-ret));
}

static void on_done(void *context, struct response *response)
{
    struct connection *connection = context;
    struct buffer large;
    answer_body_end(&connection->body, response, &large);
    buffer_release(&large);
    if (response->outcome != RESPONSE_STATUS)
        fail("%s", response->error);
    if (response->status < 200 || response->status > 299)
        fail("HTTP %d", response->status);
    if (run.to_start > 0)
        start(connection);
    if (--run.to_end == 0)
        loop_stop(run.loop);
}

static void make_connection(
    struct connection *connection, bool by_libcurl, const struct transport_settings *settings)
{
    connection->body.all_bytes = &run.answer_bytes;
    const struct exchange exchange = {.loop = run.loop,
        .curl = run.curl,
        .settings = settings,
        .body = &connection->body,
        .done = on_done,
        .context = connection};
    int ret = by_libcurl ? curl_transfer_new(&exchange, &connection->by_libcurl)
                         : http1_transfer_new(&exchange, run.request.url, &connection->by_http1);
    if (ret < 0)
        fail("%s: %s", run.request.url, strerror(-ret));
}

#define TEXT(literal) ((struct text){(literal), sizeof(literal) - 1})

/* As the relay posts an event of the other rows. */
static void make_request(const char *url, struct buffer *body)
{
    const struct event event = {
        .id = 1000000,
        .created_us = INT64_C(1700000000000042),
        .uuid = {1, 2, 3, 4, 5, 6, 0x77, 8, 0x89, 10, 11, 12, 13, 14, 15, 255},
        .aggregate_type = TEXT("order"),
        .aggregate_id = TEXT("1234"),
        .type = TEXT("order.created"),
        .payload =
            TEXT("{\"items\": [{\"sku\": \"A-0001\", \"price\": \"12.50\", \"quantity\": 2}, "
                 "{\"sku\": \"B-0002\", \"price\": \"7.99\", \"quantity\": 1}], \"orderId\": "
                 "1000000, \"currency\": \"EUR\", \"customer\": \"customer-1234\"}"),
    };
    cloudevent_add(body, "\"/shop\"", &event);
    run.request = (struct request){.url = url,
        .content_type = CLOUDEVENT_TYPE,
        .webhook_id = "01020304-0506-7708-890a-0b0c0d0e0fff",
        .webhook_timestamp = "1700000000",
        .webhook_signature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        .body = body->data,
        .body_length = body->length,
        .timeout_ms = 20000};
}

static double seconds_of(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

static void measure(int connections)
{
    struct rusage before, after;
    struct timespec began, ended;
    getrusage(RUSAGE_SELF, &before);
    clock_gettime(CLOCK_MONOTONIC, &began);
    for (int i = 0; i < connections && run.to_start > 0; i++)
        start(&run.connections[i]);
    if (loop_run(run.loop) < 0)
        fail("the loop has ended");
    clock_gettime(CLOCK_MONOTONIC, &ended);
    getrusage(RUSAGE_SELF, &after);
    printf("{\"seconds\": %.6f, \"user_s\": %.6f, \"system_s\": %.6f}\n",
        (double)(ended.tv_sec - began.tv_sec) + (double)(ended.tv_nsec - began.tv_nsec) / 1e9,
        seconds_of(after.ru_utime) - seconds_of(before.ru_utime),
        seconds_of(after.ru_stime) - seconds_of(before.ru_stime));
}

int main(int argc, char **argv)
{
    static const struct transport_settings SETTINGS = {.user_agent = "outbox-relay/bench",
        .proxy = "",
        .ca_file = "",
        .connect_timeout_ms = 5000,
        .connection_age_s = 60};
    if (argc != 5 || (strcmp(argv[1], "http1") != 0 && strcmp(argv[1], "libcurl") != 0))
        fail("usage: client http1|libcurl URL REQUESTS CONNECTIONS");
    int connections = (int)strtol(argv[4], NULL, 10);
    run.to_start = run.to_end = strtol(argv[3], NULL, 10);
    if (run.to_start < 1 || connections < 1 || connections > MAX_CONNECTIONS)
        fail("1 to %d connections, at least one request", MAX_CONNECTIONS);
    struct buffer body = {0};
    make_request(argv[2], &body);
    if (loop_new(&run.loop) < 0 || curl_loop_new(run.loop, &SETTINGS, &run.curl) < 0)
        fail("out of memory");
    for (int i = 0; i < connections; i++)
        make_connection(&run.connections[i], strcmp(argv[1], "libcurl") == 0, &SETTINGS);
    measure(connections);
    for (int i = 0; i < connections; i++) {
        http1_transfer_free(run.connections[i].by_http1);
        curl_transfer_free(run.connections[i].by_libcurl);
        answer_body_release(&run.connections[i].body);
    }
    curl_loop_free(run.curl);
    loop_free(run.loop);
    buffer_release(&body);
    return 0;
}
