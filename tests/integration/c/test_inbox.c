/* The inbox over HTTP against a real database: signatures, CloudEvents, duplicates, partial
 * failures of a batch, conflicts, a database that is away. */
#include "shared/inbox.h"
#include "shared/log.h"
#include "shared/metrics.h"
#include "shared/migrate.h"
#include "shared/webhook.h"
#include "tests/support/client.h"
#include "tests/support/database.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define SINGLE "application/cloudevents+json"
#define BATCH "application/cloudevents-batch+json"
#define TRACEPARENT "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

static char *conninfo, *secret;
static struct webhook_key webhook_key;
static struct db_pool *pool;
static struct http_server *server;
static uint16_t port;

/* ---- the handlers under test ---- */

static const struct db_statement ADD = {"test_add",
    "insert into effect (event_id, key, value, headers) values ($1, $2, $3, $4::jsonb)"};

static int add(struct db *tx, struct inbox_event *event)
{
    int64_t value = 0;
    const struct field fields[] = {{"value", FIELD_INT, false, 0, 1000000, &value}};
    int error = inbox_fields(event, fields, ARRAY_SIZE(fields));
    if (error < 0)
        return error;
    return db_query(tx, &ADD,
        DB_PARAMS(DB_TEXT(event->id), DB_TEXT(event->key), DB_INT(value), DB_TEXT(event->headers)),
        NULL);
}

/* Writes first, so that what a failed event did must be undone. */
static int add_and_reject(struct db *tx, struct inbox_event *event)
{
    int error = add(tx, event);
    return error < 0 ? error : inbox_reject(event, "value %s is not for me", event->data_text);
}

static int add_and_break(struct db *tx, struct inbox_event *event)
{
    int error = add(tx, event);
    return error < 0 ? error : db_exec(tx, "insert into effect (value) values (-1)");
}

/* Ignores that its statement failed. */
static int add_and_swallow(struct db *tx, struct inbox_event *event)
{
    (void)!add(tx, event);
    (void)!db_exec(tx, "select 1 / 0");
    return 0;
}

static atomic_int conflicts_left;

static int add_after_conflicts(struct db *tx, struct inbox_event *event)
{
    int error = add(tx, event);
    if (error == 0 && atomic_fetch_sub(&conflicts_left, 1) > 0)
        return -EAGAIN;
    return error;
}

static int lose_the_database(struct db *tx, struct inbox_event *event)
{
    int error = add(tx, event);
    return error < 0 ? error : db_exec(tx, "select pg_terminate_backend(pg_backend_pid())");
}

/* "Newer version wins": what an out-of-order event must not undo. */
static const struct db_statement UPSERT = {"test_upsert",
    "insert into state (key, version) values ($1, ($2::jsonb ->> 'value')::bigint) "
    "on conflict (key) do update set version = excluded.version "
    "where state.version < excluded.version"};

static int upsert(struct db *tx, struct inbox_event *event)
{
    return db_query(tx, &UPSERT, DB_PARAMS(DB_TEXT(event->key), DB_TEXT(event->data_text)), NULL);
}

static const struct inbox_route ROUTES[] = {
    {"test.add", add},
    {"test.reject", add_and_reject},
    {"test.break", add_and_break},
    {"test.swallow", add_and_swallow},
    {"test.conflict", add_after_conflicts},
    {"test.lose", lose_the_database},
    {"test.state", upsert},
};

/* ---- events ---- */

struct spec {
    int number; /* makes the id: the same number is the same event */
    const char *type, *key;
    int value;
};

static char *id_of(int number)
{
    char *id = NULL;
    assert_true(asprintf(&id, "00000000-0000-4000-8000-%012d", number) > 0);
    return id;
}

static json_t *event_of(const struct spec *spec)
{
    AUTO_FREE char *id = id_of(spec->number);
    json_t *event = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:{s:i}}", "specversion", "1.0", "id",
        id, "source", "/test", "type", spec->type, "subject", spec->key, "datacontenttype",
        "application/json", "data", "value", spec->value);
    assert_non_null(event);
    return event;
}

static char *batch_of(const struct spec *specs, size_t count)
{
    AUTO_JSON json_t *batch = json_array();
    for (size_t i = 0; i < count; i++)
        assert_int_equal(json_array_append_new(batch, event_of(&specs[i])), 0);
    return json_dumps(batch, JSON_COMPACT);
}

/* Numbers no test has used. */
static int next_number(int count)
{
    static int last = 1;
    last += count;
    return last - count;
}

/* ---- sending ---- */

static struct client_reply send_signed(const char *content_type, const char *body)
{
    char signature[WEBHOOK_SIGNATURE_SIZE], type[128], timestamp[64], signed_by[96];
    int64_t now = (int64_t)time(NULL);
    assert_int_equal(webhook_sign(&webhook_key, "msg_1", now, body, strlen(body), signature), 0);
    snprintf(type, sizeof(type), "Content-Type: %s", content_type);
    snprintf(timestamp, sizeof(timestamp), "webhook-timestamp: %" PRId64, now);
    snprintf(signed_by, sizeof(signed_by), "webhook-signature: %s", signature);
    const char *const headers[] = {type, "webhook-id: msg_1", timestamp, signed_by, NULL};
    return client_send(port, "POST", "/internal/events", headers, body);
}

/* Sends and expects a status and, for a problem, its code. */
static void assert_answer(const char *content_type, const char *body, long status, const char *code)
{
    struct client_reply reply = send_signed(content_type, body);
    AUTO_FREE char *given = client_text(&reply, "code");
    if (reply.status != status)
        fail_msg("%s: %ld %s", body, reply.status, reply.body);
    if (code) {
        assert_non_null(given);
        assert_string_equal(given, code);
    }
    client_reply_release(&reply);
}

static void assert_one(const struct spec *spec, long status, const char *code)
{
    AUTO_JSON json_t *event = event_of(spec);
    AUTO_FREE char *body = json_dumps(event, JSON_COMPACT);
    assert_answer(SINGLE, body, status, code);
}

/* Sends a batch and gives the list of what failed; NULL when nothing did. */
static json_t *send_batch(const struct spec *specs, size_t count)
{
    AUTO_FREE char *body = batch_of(specs, count);
    struct client_reply reply = send_signed(BATCH, body);
    if (reply.status != 200)
        fail_msg("%ld %s", reply.status, reply.body);
    AUTO_JSON json_t *answer = json_loads(reply.body, 0, NULL);
    json_t *failed = json_incref(json_object_get(answer, "failed"));
    client_reply_release(&reply);
    return failed;
}

/* The index-th failure is of this event, with this text in its error. */
static void assert_failure(
    const json_t *failed, size_t index, int number, const char *error, bool permanent)
{
    AUTO_FREE char *id = id_of(number);
    const json_t *entry = json_array_get(failed, index);
    assert_string_equal(json_string_value(json_object_get(entry, "id")), id);
    const char *given = json_string_value(json_object_get(entry, "error"));
    assert_non_null(given);
    if (!strstr(given, error))
        fail_msg("%s", given);
    assert_int_equal(json_is_true(json_object_get(entry, "permanent")), permanent);
}

static long effects_of(int number)
{
    char sql[128];
    snprintf(sql, sizeof(sql),
        "select count(*) from effect where event_id = '00000000-0000-4000-8000-%012d'", number);
    return database_count(conninfo, sql);
}

static long messages_of(int number)
{
    char sql[128];
    snprintf(sql, sizeof(sql),
        "select count(*) from inbox.message where event_id = '00000000-0000-4000-8000-%012d'",
        number);
    return database_count(conninfo, sql);
}

static void assert_effects(int first, const int *expected, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(effects_of(first + (int)i), expected[i]);
        assert_int_equal(messages_of(first + (int)i), expected[i]);
    }
}

/* ---- tests ---- */

static void an_event_has_its_effect_once(void **state)
{
    struct spec spec = {next_number(1), "test.add", "a", 1};
    (void)state;
    for (int i = 0; i < 3; i++)
        assert_one(&spec, 200, NULL);
    assert_int_equal(effects_of(spec.number), 1);
    AUTO_FREE char *row = database_query(conninfo,
        "select source || ' ' || event_type from inbox.message order by received_at limit 1");
    assert_string_equal(row, "/test test.add");
}

static void plain_json_with_one_event_is_taken(void **state)
{
    struct spec spec = {next_number(1), "test.add", "a", 1};
    AUTO_JSON json_t *event = event_of(&spec);
    AUTO_FREE char *body = json_dumps(event, 0);
    (void)state;
    assert_answer("application/json; charset=utf-8", body, 200, NULL);
    assert_int_equal(effects_of(spec.number), 1);
}

static void an_upper_case_id_is_the_same_event(void **state)
{
    static const char form[] = "{\"specversion\":\"1.0\",\"id\":\"%s\",\"source\":\"/test\","
                               "\"type\":\"test.add\",\"data\":{\"value\":1}}";
    char lower[256], upper[256];
    (void)state;
    snprintf(lower, sizeof(lower), form, "0000abcd-0000-4000-8000-00000000abcd");
    snprintf(upper, sizeof(upper), form, "0000ABCD-0000-4000-8000-00000000ABCD");
    assert_answer(SINGLE, lower, 200, NULL);
    assert_answer(SINGLE, upper, 200, NULL);
    assert_int_equal(database_count(conninfo, "select count(*) from effect where event_id = "
                                              "'0000abcd-0000-4000-8000-00000000abcd'"),
        1);
    /* Without partitionkey and subject an event is its own key. */
    assert_int_equal(database_count(conninfo, "select count(*) from effect where key = "
                                              "'0000abcd-0000-4000-8000-00000000abcd'"),
        1);
}

static void a_batch_goes_through_as_one(void **state)
{
    enum { EVENTS = 1000 };
    static struct spec specs[EVENTS];
    int first = next_number(EVENTS);
    (void)state;
    for (int i = 0; i < EVENTS; i++)
        specs[i] = (struct spec){first + i, "test.add", "many", i};
    for (int i = 0; i < 2; i++)
        assert_null(send_batch(specs, EVENTS));
    assert_int_equal(
        database_count(conninfo, "select count(*) from effect where key = 'many'"), EVENTS);
    assert_int_equal(database_count(conninfo,
                         "select count(distinct xmin::text) from effect where key = 'many'"),
        1);
}

static void a_duplicate_in_a_batch_is_dropped(void **state)
{
    int first = next_number(3);
    struct spec seen = {first, "test.add", "a", 1};
    const struct spec batch[] = {{first + 1, "test.add", "a", 2}, {first, "test.add", "a", 1},
        {first + 2, "test.add", "b", 3}, {first + 1, "test.add", "a", 2}};
    (void)state;
    assert_one(&seen, 200, NULL);
    assert_null(send_batch(batch, ARRAY_SIZE(batch)));
    assert_effects(first, (const int[]){1, 1, 1}, 3);
}

static void an_unknown_type_is_recorded_and_ignored(void **state)
{
    int first = next_number(2);
    const struct spec batch[] = {{first, "test.unknown", "a", 1}, {first + 1, "test.add", "a", 2}};
    (void)state;
    assert_null(send_batch(batch, 2));
    assert_int_equal(effects_of(first), 0);
    assert_int_equal(messages_of(first), 1);
    assert_int_equal(effects_of(first + 1), 1);
}

static void one_that_fails_holds_back_only_its_key(void **state)
{
    int first = next_number(6);
    const struct spec batch[] = {
        {first, "test.add", "a", 0},
        {first + 1, "test.reject", "b", 1},
        {first + 2, "test.add", "b", 2}, /* behind it */
        {first + 3, "test.break", "c", 3},
        {first + 4, "test.add", "a", 4},
        {first + 5, "test.swallow", "d", 5},
    };
    (void)state;
    AUTO_JSON json_t *failed = send_batch(batch, ARRAY_SIZE(batch));
    assert_int_equal(json_array_size(failed), 4);
    assert_failure(failed, 0, first + 1, "value {\"value\":1} is not for me", true);
    AUTO_FREE char *culprit = id_of(first + 1);
    assert_failure(failed, 1, first + 2, culprit, false);
    assert_failure(failed, 2, first + 3, "23514", false);
    assert_failure(failed, 3, first + 5, "22012", false);
    assert_effects(first, (const int[]){1, 0, 0, 0, 1, 0}, 6);

    /* What failed comes again, in order, and now it can be handled. */
    const struct spec again[] = {{first + 1, "test.add", "b", 1}, {first + 2, "test.add", "b", 2},
        {first, "test.add", "a", 0}, {first + 3, "test.reject", "c", 3}};
    AUTO_JSON json_t *failed_again = send_batch(again, ARRAY_SIZE(again));
    assert_int_equal(json_array_size(failed_again), 1);
    assert_failure(failed_again, 0, first + 3, "not for me", true);
    assert_effects(first, (const int[]){1, 1, 1, 0, 1, 0}, 6);
}

static void keys_of_other_sources_are_others(void **state)
{
    int first = next_number(2);
    struct spec bad = {first, "test.reject", "7", 1}, good = {first + 1, "test.add", "7", 1};
    AUTO_JSON json_t *batch = json_pack("[o, o]", event_of(&bad), event_of(&good));
    (void)state;
    assert_int_equal(
        json_object_set_new(json_array_get(batch, 1), "source", json_string("/other")), 0);
    AUTO_FREE char *body = json_dumps(batch, 0);
    assert_answer(BATCH, body, 200, NULL);
    assert_effects(first, (const int[]){0, 1}, 2);
}

static void one_alone_that_fails_gets_a_status(void **state)
{
    int first = next_number(4);
    struct spec rejected = {first, "test.reject", "a", 1},
                broken = {first + 1, "test.break", "a", 1};
    struct spec wrong = {first + 2, "test.add", "a", -1}, lone = {first + 3, "test.break", "a", 1};
    (void)state;
    assert_one(&rejected, 422, "event_rejected");
    assert_one(&broken, 500, "event_failed");
    assert_one(&wrong, 422, "event_rejected");
    AUTO_FREE char *body = batch_of(&lone, 1);
    assert_answer(BATCH, body, 500, "event_failed");
    assert_effects(first, (const int[]){0, 0, 0, 0}, 4);
}

static void the_reason_names_the_field(void **state)
{
    struct spec wrong = {next_number(1), "test.add", "a", -1};
    AUTO_JSON json_t *event = event_of(&wrong);
    AUTO_FREE char *body = json_dumps(event, 0);
    struct client_reply reply = send_signed(SINGLE, body);
    AUTO_FREE char *detail = client_text(&reply, "detail");
    (void)state;
    assert_non_null(strstr(detail, "data.value"));
    client_reply_release(&reply);
}

static void conflicts_are_run_again(void **state)
{
    int first = next_number(4);
    struct spec one = {first, "test.conflict", "a", 1};
    const struct spec batch[] = {
        {first + 1, "test.conflict", "a", 1}, {first + 2, "test.reject", "b", 1}};
    (void)state;
    conflicts_left = 2;
    assert_one(&one, 200, NULL);
    conflicts_left = 2;
    AUTO_JSON json_t *failed = send_batch(batch, 2);
    assert_int_equal(json_array_size(failed), 1);
    assert_effects(first, (const int[]){1, 1, 0}, 3);
    conflicts_left = 1000;
    struct spec hopeless = {first + 3, "test.conflict", "a", 1};
    assert_one(&hopeless, 503, "unavailable");
    assert_effects(first + 3, (const int[]){0}, 1);
    conflicts_left = 0;
}

static void late_events_do_not_undo_newer_ones(void **state)
{
    int first = next_number(3);
    const struct spec specs[] = {{first + 2, "test.state", "s", 3}, {first, "test.state", "s", 1},
        {first + 1, "test.state", "s", 2}};
    (void)state;
    for (size_t i = 0; i < 3; i++)
        assert_one(&specs[i], 200, NULL);
    assert_int_equal(database_count(conninfo, "select version from state where key = 's'"), 3);
}

static void *send_the_batch(void *context)
{
    const struct spec *specs = context;
    return send_batch(specs, 50);
}

static void the_same_batch_twice_at_once_has_one_effect(void **state)
{
    static struct spec specs[2][50];
    pthread_t threads[8];
    int first = next_number(50);
    (void)state;
    for (int i = 0; i < 50; i++) {
        specs[0][i] = (struct spec){first + i, "test.add", "twice", i};
        specs[1][49 - i] = specs[0][i];
    }
    for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, send_the_batch, specs[i % 2]), 0);
    for (size_t i = 0; i < ARRAY_SIZE(threads); i++) {
        void *failed = NULL;
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    assert_int_equal(
        database_count(conninfo, "select count(*) from effect where key = 'twice'"), 50);
}

static void the_trace_goes_on_from_the_event(void **state)
{
    struct spec spec = {next_number(1), "test.add", "trace", 1};
    AUTO_JSON json_t *event = event_of(&spec);
    (void)state;
    json_object_set_new(event, "traceparent", json_string(TRACEPARENT));
    json_object_set_new(event, "tracestate", json_string("a=b"));
    AUTO_FREE char *body = json_dumps(event, 0);
    assert_answer(SINGLE, body, 200, NULL);
    assert_int_equal(
        database_count(conninfo,
            "select count(*) from effect where key = 'trace' and headers ->> 'traceparent' = "
            "'" TRACEPARENT "' and headers ->> 'tracestate' = 'a=b' and headers ? 'requestid'"),
        1);

    struct spec without = {next_number(1), "test.add", "no-trace", 1};
    assert_one(&without, 200, NULL);
    assert_int_equal(database_count(conninfo, "select count(*) from effect where key = 'no-trace' "
                                              "and headers ->> 'traceparent' like '00-%'"),
        1);
}

static void bad_events_are_refused_as_a_whole(void **state)
{
    static const struct {
        const char *member, *value; /* NULL: left out */
    } cases[] = {
        {"specversion", NULL},
        {"specversion", "\"0.3\""},
        {"specversion", "1"},
        {"id", NULL},
        {"id", "\"7\""},
        {"id", "7"},
        {"id", "\"00000000-0000-4000-8000-00000000000g\""},
        {"id", "\"00000000000040008000000000000000\""},
        {"id", "\"{0000000-0000-4000-8000-00000000000}\""},
        {"source", NULL},
        {"source", "\"\""},
        {"source", "[]"},
        {"type", NULL},
        {"type", "\"\""},
        {"subject", "7"},
        {"subject", "\"\""},
        {"partitionkey", "{}"},
        {"data", NULL},
        {"data", "[]"},
        {"data", "\"text\""},
        {"data", "null"},
    };
    int first = next_number(2);
    struct spec good = {first, "test.add", "a", 1}, bad = {first + 1, "test.add", "a", 1};
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        AUTO_JSON json_t *batch = json_pack("[o, o]", event_of(&good), event_of(&bad));
        json_t *event = json_array_get(batch, 1);
        if (cases[i].value)
            json_object_set_new(
                event, cases[i].member, json_loads(cases[i].value, JSON_DECODE_ANY, NULL));
        else
            json_object_del(event, cases[i].member);
        AUTO_FREE char *body = json_dumps(batch, 0);
        AUTO_FREE char *one = json_dumps(event, 0);
        assert_answer(BATCH, body, 400, "bad_event");
        assert_answer(SINGLE, one, 400, "bad_event");
    }
    assert_effects(first, (const int[]){0, 0}, 2);
}

static void bad_bodies_are_refused(void **state)
{
    static const struct {
        const char *content_type, *body;
        long status;
        const char *code;
    } cases[] = {
        {BATCH, "[]", 400, "bad_event"},
        {BATCH, "{}", 400, "bad_event"},
        {SINGLE, "[]", 400, "bad_event"},
        {SINGLE, "null", 400, "bad_event"},
        {BATCH, "[1]", 400, "bad_event"},
        {BATCH, "[", 400, "bad_json"},
        {SINGLE, "", 400, "bad_json"},
        {SINGLE, "{\"id\":1,\"id\":2}", 400, "bad_json"},
        {SINGLE, "\xff", 400, "bad_json"},
        {"text/plain", "{}", 415, "unsupported_media_type"},
        {"application/cloudevents", "{}", 415, "unsupported_media_type"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        assert_answer(cases[i].content_type, cases[i].body, cases[i].status, cases[i].code);
    static char deep[20001];
    memset(deep, '[', 20000);
    assert_answer(BATCH, deep, 400, "bad_json");

    AUTO_JSON json_t *large = json_array();
    struct spec spec = {next_number(1), "test.add", "a", 1};
    for (int i = 0; i < 1001; i++)
        assert_int_equal(json_array_append_new(large, event_of(&spec)), 0);
    AUTO_FREE char *body = json_dumps(large, 0);
    assert_answer(BATCH, body, 400, "bad_event");
    assert_effects(spec.number, (const int[]){0}, 1);
}

static void unsigned_requests_are_refused(void **state)
{
    struct spec spec = {next_number(1), "test.add", "a", 1};
    AUTO_JSON json_t *event = event_of(&spec);
    AUTO_FREE char *body = json_dumps(event, 0);
    char now[64], old[64], good[96], of_old[96], signature[WEBHOOK_SIGNATURE_SIZE];
    int64_t now_s = (int64_t)time(NULL);
    (void)state;
    snprintf(now, sizeof(now), "webhook-timestamp: %" PRId64, now_s);
    snprintf(old, sizeof(old), "webhook-timestamp: %" PRId64, now_s - 400);
    assert_int_equal(webhook_sign(&webhook_key, "m", now_s, body, strlen(body), signature), 0);
    snprintf(good, sizeof(good), "webhook-signature: %s", signature);
    assert_int_equal(
        webhook_sign(&webhook_key, "m", now_s - 400, body, strlen(body), signature), 0);
    snprintf(of_old, sizeof(of_old), "webhook-signature: %s", signature);
    const struct {
        const char *headers[5];
        const char *code;
    } cases[] = {
        {{"Content-Type: " SINGLE}, "bad_signature"},
        {{"Content-Type: " SINGLE, now, good}, "bad_signature"},
        {{"Content-Type: " SINGLE, "webhook-id: m", good}, "bad_signature"},
        {{"Content-Type: " SINGLE, "webhook-id: m", now}, "bad_signature"},
        {{"Content-Type: " SINGLE, "webhook-id: n", now, good}, "bad_signature"},
        {{"Content-Type: " SINGLE, "webhook-id: m", now, of_old}, "bad_signature"},
        {{"Content-Type: " SINGLE, "webhook-id: m", old, good}, "bad_signature"},
        {{"Content-Type: " SINGLE, "webhook-id: m", old, of_old}, "stale_timestamp"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct client_reply reply =
            client_send(port, "POST", "/internal/events", cases[i].headers, body);
        AUTO_FREE char *code = client_text(&reply, "code");
        assert_int_equal(reply.status, 401);
        assert_string_equal(code, cases[i].code);
        client_reply_release(&reply);
    }
    assert_effects(spec.number, (const int[]){0}, 1);
}

static void a_database_away_is_503(void **state)
{
    int first = next_number(3);
    struct spec lost = {first, "test.lose", "a", 1}, spec = {first + 1, "test.add", "a", 1};
    const struct spec batch[] = {{first + 2, "test.add", "b", 1}, {first, "test.lose", "a", 1}};
    (void)state;
    assert_one(&lost, 503, "unavailable");
    AUTO_FREE char *body = batch_of(batch, 2);
    assert_answer(BATCH, body, 503, "unavailable");
    database_stop("immediate");
    assert_one(&spec, 503, "unavailable");
    database_start();
    assert_one(&spec, 200, NULL);
    assert_effects(first, (const int[]){0, 1, 0}, 3);
}

static void old_messages_are_forgotten(void **state)
{
    static struct spec specs[1000];
    int first = next_number(1000);
    (void)state;
    free(database_query(conninfo,
        "insert into inbox.message (event_id, source, event_type, received_at) "
        "select gen_random_uuid(), '/old', 'old', now() - interval '31 days' "
        "from generate_series(1, 1500)"));
    for (int i = 0; i < 1000; i++)
        specs[i] = (struct spec){first + i, "test.unknown", "a", 1};
    assert_null(send_batch(specs, 1000));
    assert_int_equal(
        database_count(conninfo, "select count(*) from inbox.message where source = '/old'"), 0);
    assert_effects(first + 999, (const int[]){0}, 0);
    assert_int_equal(messages_of(first + 999), 1);
}

static void outcomes_are_counted(void **state)
{
    static const char *const lines[] = {
        "inbox_messages_total{type=\"test.add\",outcome=\"handled\"} ",
        "inbox_messages_total{type=\"test.add\",outcome=\"duplicate\"} ",
        "inbox_messages_total{type=\"test.unknown\",outcome=\"ignored\"} ",
        "inbox_messages_total{type=\"test.reject\",outcome=\"failed\"} ",
    };
    size_t length = 0;
    AUTO_FREE char *text = metrics_render(1, &length);
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
        if (!strstr(text, lines[i]))
            fail_msg("no %s", lines[i]);
    }
}

static void secrets_are_checked(void **state)
{
    AUTO_FREE char *other = webhook_secret_new();
    AUTO_FREE char *list = NULL;
    struct spec spec = {next_number(1), "test.add", "a", 1};
    (void)state;
    assert_int_equal(inbox_configure(ROUTES, ARRAY_SIZE(ROUTES), NULL), -EINVAL);
    assert_int_equal(inbox_configure(ROUTES, ARRAY_SIZE(ROUTES), " , "), -EINVAL);
    assert_int_equal(inbox_configure(ROUTES, ARRAY_SIZE(ROUTES), "whsec_AAAA"), -EINVAL);
    assert_int_equal(inbox_configure(ROUTES, ARRAY_SIZE(ROUTES), other), 0);
    assert_one(&spec, 401, "bad_signature");
    assert_true(asprintf(&list, "%s, %s\n", other, secret) > 0);
    assert_int_equal(inbox_configure(ROUTES, ARRAY_SIZE(ROUTES), list), 0);
    assert_one(&spec, 200, NULL);
}

static void a_secret_may_be_bound_to_a_source(void **state)
{
    AUTO_FREE char *other = webhook_secret_new();
    AUTO_FREE char *list = NULL;
    struct spec spec = {next_number(1), "test.add", "a", 1};
    (void)state;
    assert_true(asprintf(&list, "test=%s other=%s", other, secret) > 0);
    assert_int_equal(inbox_configure(ROUTES, ARRAY_SIZE(ROUTES), list), 0);
    assert_one(&spec, 403, "bad_source");
    assert_effects(spec.number, (const int[]){0}, 1);
    free(list);
    assert_true(asprintf(&list, "other=%s test=%s", other, secret) > 0);
    assert_int_equal(inbox_configure(ROUTES, ARRAY_SIZE(ROUTES), list), 0);
    assert_one(&spec, 200, NULL);
}

/* A request by the first of several keys that came too late is told so. */
static void stale_is_told_whichever_key_signed(void **state)
{
    AUTO_FREE char *other = webhook_secret_new();
    AUTO_FREE char *list = NULL;
    char timestamp[64], signed_by[96], signature[WEBHOOK_SIGNATURE_SIZE];
    int64_t then = (int64_t)time(NULL) - 400;
    (void)state;
    assert_true(asprintf(&list, "%s %s", secret, other) > 0);
    assert_int_equal(inbox_configure(ROUTES, ARRAY_SIZE(ROUTES), list), 0);
    assert_int_equal(webhook_sign(&webhook_key, "m", then, "{}", 2, signature), 0);
    snprintf(timestamp, sizeof(timestamp), "webhook-timestamp: %" PRId64, then);
    snprintf(signed_by, sizeof(signed_by), "webhook-signature: %s", signature);
    const char *const headers[] = {"webhook-id: m", timestamp, signed_by, NULL};
    struct client_reply reply = client_send(port, "POST", "/internal/events", headers, "{}");
    AUTO_FREE char *code = client_text(&reply, "code");
    assert_string_equal(code, "stale_timestamp");
    client_reply_release(&reply);
}

/* ---- around them ---- */

static const struct http_route HTTP_ROUTES[] = {
    {"POST", "/internal/events", HTTP_OPEN, inbox_receive}};

static int start(void **state)
{
    int applied;
    struct db *db;
    (void)state;
    conninfo = database_new();
    secret = webhook_secret_new();
    assert_int_equal(webhook_key_parse(secret, &webhook_key), 0);
    assert_int_equal(inbox_configure(ROUTES, ARRAY_SIZE(ROUTES), secret), 0);
    pool = db_pool_new(conninfo, "test_inbox", 8, 2000);
    assert_int_equal(db_acquire(pool, &db), 0);
    assert_int_equal(migrate(db, &sql_inbox, &applied), 0);
    assert_int_equal(
        db_exec(db,
            "create table effect (event_id uuid, key text, value bigint check (value >= 0), "
            "headers jsonb);"
            "create table state (key text primary key, version bigint)"),
        0);
    db_release(db);
    const struct http_settings settings = {
        .program = "test",
        .address = "127.0.0.1",
        .max_connections = 64,
        .max_body = 1048576,
        .idle_timeout_s = 5,
        .routes = HTTP_ROUTES,
        .route_count = ARRAY_SIZE(HTTP_ROUTES),
        .pool = pool,
    };
    assert_int_equal(http_server_start(&settings, &server), 0);
    port = http_server_port(server);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    http_server_stop(server, 1000);
    db_pool_free(pool);
    free(conninfo);
    free(secret);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_event_has_its_effect_once),
        cmocka_unit_test(plain_json_with_one_event_is_taken),
        cmocka_unit_test(an_upper_case_id_is_the_same_event),
        cmocka_unit_test(a_batch_goes_through_as_one),
        cmocka_unit_test(a_duplicate_in_a_batch_is_dropped),
        cmocka_unit_test(an_unknown_type_is_recorded_and_ignored),
        cmocka_unit_test(one_that_fails_holds_back_only_its_key),
        cmocka_unit_test(keys_of_other_sources_are_others),
        cmocka_unit_test(one_alone_that_fails_gets_a_status),
        cmocka_unit_test(the_reason_names_the_field),
        cmocka_unit_test(conflicts_are_run_again),
        cmocka_unit_test(late_events_do_not_undo_newer_ones),
        cmocka_unit_test(the_same_batch_twice_at_once_has_one_effect),
        cmocka_unit_test(the_trace_goes_on_from_the_event),
        cmocka_unit_test(bad_events_are_refused_as_a_whole),
        cmocka_unit_test(bad_bodies_are_refused),
        cmocka_unit_test(unsigned_requests_are_refused),
        cmocka_unit_test(a_database_away_is_503),
        cmocka_unit_test(old_messages_are_forgotten),
        cmocka_unit_test(outcomes_are_counted),
        cmocka_unit_test(secrets_are_checked),
        cmocka_unit_test(a_secret_may_be_bound_to_a_source),
        cmocka_unit_test(stale_is_told_whichever_key_signed),
    };
    log_init("test_inbox", LOG_LEVEL_ERROR + 1);
    return cmocka_run_group_tests(tests, start, stop);
}
