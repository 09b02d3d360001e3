/* No memory: each allocation of what reads and writes in the relay and in the services fails once.
 * Nothing may crash, leak (make asan), or look like success. Left out is what aborts by design: the
 * heap of timers, the table of parked keys, the list of answers that PostgreSQL owes. */
#include "outbox-relay/engine/allow.h"
#include "outbox-relay/engine/statements.h"
#include "outbox-relay/engine/verdict.h"
#include "outbox-relay/event/cloudevent.h"
#include "outbox-relay/event/read_result.h"
#include "outbox-relay/http/transport.h"
#include "outbox-relay/http/url.h"
#include "shared/base/webhook.h"
#include "shared/http/fields.h"
#include "shared/http/http_query.h"
#include "shared/http/http_reply.h"
#include "shared/http/http_request.h"
#include "shared/http/http_router.h"
#include "shared/http/jws.h"
#include "shared/service/inbox_internal.h"
#include "tests/support/failing.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define TEXT(literal) ((struct text){(literal), sizeof(literal) - 1})
#define UUID "0190c5a4-7d2a-7000-8000-000000000001"
#define TRACEPARENT "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

/* ---- The relay ---- */

static void add_events(void)
{
    static const struct event event = {
        .type = {"order.created", 13},
        .aggregate_type = {"order", 5},
        .aggregate_id = {"7\n", 2},
        .payload = {"{}", 2},
        .traceparent = TEXT(TRACEPARENT),
    };
    struct buffer buffer = {0};
    size_t complete = 0;
    for (int i = 0; i < 40; i++) {
        cloudevent_add(&buffer, "\"/shop\"", &event);
        assert_int_equal(buffer.failed, failing_has_failed());
        if (!buffer.failed)
            complete = buffer.length;
    }
    assert_true(buffer.length >= complete && buffer.length <= buffer.capacity);
    buffer_clear(&buffer, 0);
    assert_false(buffer.failed);
    buffer_release(&buffer);
}

/* A result of READ_NEW with one row. */
static PGresult *one_event(void)
{
    static const char ZERO[16];
    PGresult *result = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
    PGresAttDesc columns[EVENT_ATTEMPTS] = {0};
    assert_non_null(result);
    for (int i = 0; i < EVENT_ATTEMPTS; i++)
        columns[i] = (PGresAttDesc){.name = (char *)"", .format = 1};
    assert_true(PQsetResultAttrs(result, EVENT_ATTEMPTS, columns));
    for (int i = 0; i < EVENT_ATTEMPTS; i++)
        assert_true(PQsetvalue(result, 0, i, (char *)ZERO, sizeof(ZERO)));
    return result;
}

static void make_a_read_result(void)
{
    struct read_result *read = read_result_new(one_event(), one_event());
    assert_int_equal(read == NULL, failing_has_failed());
    if (read)
        assert_int_equal(read->count, 2);
    read_result_unref(read);
}

static void read_failures(const char *body)
{
    struct failed_list failed = {0};
    struct response response = {
        .outcome = RESPONSE_STATUS, .status = 200, .body = body, .body_length = strlen(body)};
    enum verdict verdict = judge_failed_list(&response, VERDICT_DELIVERED, &failed);
    /* Refused for now: else an event that failed would be taken for delivered. */
    assert_int_equal(verdict, failing_has_failed() ? VERDICT_REFUSED : VERDICT_DELIVERED);
    assert_int_equal(failed.count, failing_has_failed() ? 0 : 1);
    failed_list_release(&failed);
}

static void read_a_list_of_failures(void)
{
    read_failures("{\"failed\":[{\"id\":\"" UUID "\",\"error\":\"no\"}]}");
}

static void read_an_escaped_list_of_failures(void)
{
    read_failures("{\"f\\u0061iled\":[{\"id\":\"" UUID "\",\"error\":\"no\"}]}");
}

static void make_a_request_line(void)
{
    char *prefix = NULL;
    int ret = url_request_prefix("http://a.example:8080/events?x=1", "agent", &prefix);
    assert_int_equal(ret < 0, failing_has_failed());
    assert_int_equal(prefix == NULL, ret < 0);
    free(prefix);
}

/* What can't be checked is not allowed. */
static void check_a_url(void)
{
    bool allowed = allow_url("a.example:80", "http://a.example/events");
    assert_int_equal(allowed, !failing_has_failed());
}

static void make_a_signer(void)
{
    static const struct webhook_key key = {.length = 32};
    struct webhook_signer *signer = webhook_signer_new(&key, 1);
    assert_int_equal(signer == NULL, failing_has_failed());
    webhook_signer_free(signer);
}

static void on_done(void *context, const struct response *response)
{
    (void)context;
    (void)response;
    fail_msg("the loop does not run");
}

static struct loop *loop;

static void do_nothing(void *context)
{
    (void)context;
}

/* The loop is there before: without memory for a timer it aborts. */
static int make_loop(void **state)
{
    struct timer timer = {.fire = do_nothing};
    (void)state;
    if (loop_new(&loop) < 0)
        return -1;
    loop_timer_start(loop, &timer, 0);
    loop_timer_stop(loop, &timer);
    return 0;
}

static int free_loop(void **state)
{
    (void)state;
    loop_free(loop);
    return 0;
}

/* Up to the connection. */
static void start_a_transfer(void)
{
    static const struct transport_settings settings = {.user_agent = "agent",
        .proxy = "",
        .ca_file = "",
        .connect_timeout_ms = 1000,
        .connection_age_s = 60};
    const struct request request = {.url = "http://127.0.0.1:9/",
        .content_type = "application/json",
        .webhook_id = "1",
        .webhook_timestamp = "1",
        .webhook_signature = "v1,",
        .body = "{}",
        .body_length = 2,
        .timeout_ms = 1000};
    struct transport *transport = NULL;
    struct transfer *transfer = NULL;
    int ret = transport_new(loop, &settings, &transport);
    if (ret == 0)
        ret = transfer_new(transport, on_done, NULL, &transfer);
    if (ret == 0)
        ret = transfer_start(transfer, &request);
    assert_true(ret == 0 || failing_has_failed());
    transfer_free(transfer);
    transport_free(transport);
}

/* ---- The services ---- */

static int unused_handler(struct http_request *request)
{
    return http_reply(request, 200, NULL, NULL, 0);
}

static const struct http_route ROUTES[] = {{"GET", "/products/{id}", HTTP_OPEN, unused_handler}};
static struct http_app app = {.settings = {.routes = ROUTES, .route_count = ARRAY_SIZE(ROUTES)}};

static void release(struct http_request *request)
{
    http_query_release(request);
    http_reply_reset(request);
    json_decref(request->json);
    free(request->event_headers);
}

/* The status that is wanted, or a failure: 500, or 400 where jansson takes what it could not keep
 * for what it could not read. */
static void assert_status(const struct http_request *request, int status, int wanted)
{
    assert_int_equal(request->reply.status, status);
    if (status != wanted)
        assert_true(failing_has_failed() && (status == 500 || status == 400));
}

static void parse_a_query(void)
{
    struct http_request request = {.request_id = "r"};
    int ret = http_query_parse(&request, "a=1&b=%20&c");
    assert_int_equal(ret, failing_has_failed() ? -ENOMEM : 0);
    release(&request);
}

static void refuse_a_path(void)
{
    struct http_request request = {
        .app = &app, .request_id = "r", .method = "PUT", .path = (char *)"/products/1"};
    assert_status(&request, http_route_find(&request), 405);
    release(&request);
}

static void refuse_a_field(void)
{
    int64_t number;
    const struct field fields[] = {{"number", FIELD_INT, false, 1, 2, &number}};
    struct http_request request = {
        .app = &app, .request_id = "r", .body = (char *)"{\"number\":3}", .body_length = 12};
    json_t *object = NULL;
    int status = http_json_body(&request, false, &object);
    if (status == 0)
        status = fields_parse(&request, object, "", fields, ARRAY_SIZE(fields));
    assert_status(&request, status, 400);
    release(&request);
}

static void refuse_a_huge_number(void)
{
    struct http_request request = {.app = &app,
        .request_id = "r",
        .body = (char *)"{\"number\":99999999999999999999}",
        .body_length = 31};
    json_t *object = NULL;
    assert_status(&request, http_json_body(&request, false, &object), 400);
    release(&request);
}

static int unused_event_handler(struct db *tx, struct inbox_event *event)
{
    (void)tx;
    (void)event;
    return 0;
}

static void read_a_batch(void)
{
    static const struct inbox_route routes[] = {{"order.created", unused_event_handler}};
    static char body[] =
        "[{\"specversion\":\"1.0\",\"id\":\"" UUID "\",\"source\":\"/order\","
        "\"type\":\"order.created\",\"traceparent\":\"" TRACEPARENT "\",\"data\":{\"a\":1}}]";
    struct http_request request = {
        .request_id = "r", .body = body, .body_length = sizeof(body) - 1};
    struct inbox_batch batch = {0};
    int status =
        inbox_batch_read(&request, "application/cloudevents-batch+json", routes, 1, &batch);
    assert_status(&request, status, 0);
    if (status == 0)
        assert_non_null(strstr(batch.items[0].event.headers, TRACEPARENT));
    inbox_batch_release(&batch);
    release(&request);
}

static void parse_a_token(void)
{
    struct jws jws = {0};
    int ret = jws_parse("eyJhbGciOiJSUzI1NiIsImtpZCI6ImEifQ.eyJzdWIiOiIxIn0.AAAA", &jws);
    assert_int_equal(ret, failing_has_failed() ? -EINVAL : 0);
    json_t *payload = ret == 0 ? jws_payload(&jws) : NULL;
    assert_int_equal(payload == NULL, failing_has_failed());
    json_decref(payload);
    jws_release(&jws);
}

/* ---- All of them ---- */

static const struct scenario {
    const char *name;
    void (*run)(void);
} SCENARIOS[] = {
    {"events are written", add_events},
    {"a read result is made", make_a_read_result},
    {"a list of failures is read", read_a_list_of_failures},
    {"an escaped list of failures is read", read_an_escaped_list_of_failures},
    {"a request line is made", make_a_request_line},
    {"a URL is checked", check_a_url},
    {"a signer is made", make_a_signer},
    {"a transfer is started", start_a_transfer},
    {"a query is parsed", parse_a_query},
    {"a path is refused", refuse_a_path},
    {"a field is refused", refuse_a_field},
    {"a huge number is refused", refuse_a_huge_number},
    {"a batch is read", read_a_batch},
    {"a token is parsed", parse_a_token},
};

static void each_allocation_may_fail(void **state)
{
    const struct scenario *scenario = *state;
    assert_true(failing_each(scenario->run) > 0);
}

int main(void)
{
    struct CMUnitTest tests[ARRAY_SIZE(SCENARIOS)];
    for (size_t i = 0; i < ARRAY_SIZE(SCENARIOS); i++)
        tests[i] = (struct CMUnitTest){.name = SCENARIOS[i].name,
            .test_func = each_allocation_may_fail,
            .initial_state = (void *)&SCENARIOS[i]};
    return cmocka_run_group_tests(tests, make_loop, free_loop);
}
