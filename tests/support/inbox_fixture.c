/* See inbox_fixture.h. */
#include "tests/support/inbox_fixture.h"
#include "shared/base/json.h"
#include "tests/support/database.h"
#include "tests/support/sign.h"

#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

struct test_service service;
char *secret;
struct webhook_key webhook_key;

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

atomic_int conflicts_left;

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

const struct inbox_route INBOX_ROUTES[INBOX_ROUTE_COUNT] = {
    {"test.add", add},
    {"test.reject", add_and_reject},
    {"test.break", add_and_break},
    {"test.swallow", add_and_swallow},
    {"test.conflict", add_after_conflicts},
    {"test.lose", lose_the_database},
    {"test.state", upsert},
};

/* ---- events, and sending them ---- */

char *id_of(int number)
{
    char *id = NULL;
    assert_true(asprintf(&id, "00000000-0000-4000-8000-%012d", number) > 0);
    return id;
}

json_t *event_of(const struct spec *spec)
{
    AUTO_FREE char *id = id_of(spec->number);
    json_t *event = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:{s:i}}", "specversion", "1.0", "id",
        id, "source", "/test", "type", spec->type, "subject", spec->key, "datacontenttype",
        "application/json", "data", "value", spec->value);
    assert_non_null(event);
    return event;
}

char *batch_of(const struct spec *specs, size_t count)
{
    AUTO_JSON json_t *batch = json_array();
    for (size_t i = 0; i < count; i++)
        assert_int_equal(json_array_append_new(batch, event_of(&specs[i])), 0);
    return json_dumps(batch, JSON_COMPACT);
}

int next_number(int count)
{
    static int last = 1;
    last += count;
    return last - count;
}

struct client_reply send_signed(const char *content_type, const char *body)
{
    char signature[WEBHOOK_SIGNATURE_SIZE], type[128], timestamp[64], signed_by[96];
    int64_t now = (int64_t)time(NULL);
    assert_int_equal(sign_once(&webhook_key, "msg_1", now, body, strlen(body), signature), 0);
    snprintf(type, sizeof(type), "Content-Type: %s", content_type);
    snprintf(timestamp, sizeof(timestamp), "webhook-timestamp: %" PRId64, now);
    snprintf(signed_by, sizeof(signed_by), "webhook-signature: %s", signature);
    const char *const headers[] = {type, "webhook-id: msg_1", timestamp, signed_by, NULL};
    return client_send(service.port, "POST", "/internal/events", headers, body);
}

void assert_answer(const char *content_type, const char *body, long status, const char *code)
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

void assert_one(const struct spec *spec, long status, const char *code)
{
    AUTO_JSON json_t *event = event_of(spec);
    AUTO_FREE char *body = json_dumps(event, JSON_COMPACT);
    assert_answer(SINGLE, body, status, code);
}

json_t *send_batch(const struct spec *specs, size_t count)
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

void assert_failure(
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

long effects_of(int number)
{
    char sql[128];
    snprintf(sql, sizeof(sql),
        "select count(*) from effect where event_id = '00000000-0000-4000-8000-%012d'", number);
    return database_count(service.conninfo, sql);
}

long messages_of(int number)
{
    char sql[128];
    snprintf(sql, sizeof(sql),
        "select count(*) from inbox.message where event_id = '00000000-0000-4000-8000-%012d'",
        number);
    return database_count(service.conninfo, sql);
}

void assert_effects(int first, const int *expected, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(effects_of(first + (int)i), expected[i]);
        assert_int_equal(messages_of(first + (int)i), expected[i]);
    }
}

/* ---- around them ---- */

static const struct http_route HTTP_ROUTES[] = {
    {"POST", "/internal/events", HTTP_OPEN, inbox_receive}};

int inbox_start(void **state)
{
    (void)state;
    secret = secret_new();
    assert_int_equal(webhook_key_parse(secret, &webhook_key), 0);
    assert_int_equal(inbox_configure(INBOX_ROUTES, INBOX_ROUTE_COUNT, secret), 0);
    test_service_start(&service, &sql_inbox,
        "create table effect (event_id uuid, key text, value bigint check (value >= 0), "
        "headers jsonb);"
        "create table state (key text primary key, version bigint)",
        HTTP_ROUTES, ARRAY_SIZE(HTTP_ROUTES), NULL);
    return 0;
}

int inbox_stop(void **state)
{
    (void)state;
    test_service_stop(&service);
    free(secret);
    return 0;
}
