/* What the inbox refuses: bodies that are no events, signatures that are missing, wrong, too old,
 * or of another source. */
#include "shared/base/json.h"
#include "shared/base/log.h"
#include "shared/service/inbox.h"
#include "tests/support/database.h"
#include "tests/support/inbox_fixture.h"
#include "tests/support/sign.h"

#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

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
    assert_int_equal(sign_once(&webhook_key, "m", now_s, body, strlen(body), signature), 0);
    snprintf(good, sizeof(good), "webhook-signature: %s", signature);
    assert_int_equal(sign_once(&webhook_key, "m", now_s - 400, body, strlen(body), signature), 0);
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
            client_send(service.port, "POST", "/internal/events", cases[i].headers, body);
        AUTO_FREE char *code = client_text(&reply, "code");
        assert_int_equal(reply.status, 401);
        assert_string_equal(code, cases[i].code);
        client_reply_release(&reply);
    }
    assert_effects(spec.number, (const int[]){0}, 1);
}

static void secrets_are_checked(void **state)
{
    AUTO_FREE char *other = secret_new();
    AUTO_FREE char *list = NULL;
    struct spec spec = {next_number(1), "test.add", "a", 1};
    (void)state;
    assert_int_equal(inbox_configure(INBOX_ROUTES, INBOX_ROUTE_COUNT, NULL), -EINVAL);
    assert_int_equal(inbox_configure(INBOX_ROUTES, INBOX_ROUTE_COUNT, " , "), -EINVAL);
    assert_int_equal(inbox_configure(INBOX_ROUTES, INBOX_ROUTE_COUNT, "whsec_AAAA"), -EINVAL);
    assert_int_equal(inbox_configure(INBOX_ROUTES, INBOX_ROUTE_COUNT, other), 0);
    assert_one(&spec, 401, "bad_signature");
    assert_true(asprintf(&list, "%s, %s\n", other, secret) > 0);
    assert_int_equal(inbox_configure(INBOX_ROUTES, INBOX_ROUTE_COUNT, list), 0);
    assert_one(&spec, 200, NULL);
}

static void a_secret_may_be_bound_to_a_source(void **state)
{
    AUTO_FREE char *other = secret_new();
    AUTO_FREE char *list = NULL;
    struct spec spec = {next_number(1), "test.add", "a", 1};
    (void)state;
    assert_true(asprintf(&list, "test=%s other=%s", other, secret) > 0);
    assert_int_equal(inbox_configure(INBOX_ROUTES, INBOX_ROUTE_COUNT, list), 0);
    assert_one(&spec, 403, "bad_source");
    assert_effects(spec.number, (const int[]){0}, 1);
    free(list);
    assert_true(asprintf(&list, "other=%s test=%s", other, secret) > 0);
    assert_int_equal(inbox_configure(INBOX_ROUTES, INBOX_ROUTE_COUNT, list), 0);
    assert_one(&spec, 200, NULL);
}

/* A request by the first of several keys that came too late is told so. */
static void stale_is_told_whichever_key_signed(void **state)
{
    AUTO_FREE char *other = secret_new();
    AUTO_FREE char *list = NULL;
    char timestamp[64], signed_by[96], signature[WEBHOOK_SIGNATURE_SIZE];
    int64_t then = (int64_t)time(NULL) - 400;
    (void)state;
    assert_true(asprintf(&list, "%s %s", secret, other) > 0);
    assert_int_equal(inbox_configure(INBOX_ROUTES, INBOX_ROUTE_COUNT, list), 0);
    assert_int_equal(sign_once(&webhook_key, "m", then, "{}", 2, signature), 0);
    snprintf(timestamp, sizeof(timestamp), "webhook-timestamp: %" PRId64, then);
    snprintf(signed_by, sizeof(signed_by), "webhook-signature: %s", signature);
    const char *const headers[] = {"webhook-id: m", timestamp, signed_by, NULL};
    struct client_reply reply =
        client_send(service.port, "POST", "/internal/events", headers, "{}");
    AUTO_FREE char *code = client_text(&reply, "code");
    assert_string_equal(code, "stale_timestamp");
    client_reply_release(&reply);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_events_are_refused_as_a_whole),
        cmocka_unit_test(bad_bodies_are_refused),
        cmocka_unit_test(unsigned_requests_are_refused),
        cmocka_unit_test(secrets_are_checked),
        cmocka_unit_test(a_secret_may_be_bound_to_a_source),
        cmocka_unit_test(stale_is_told_whichever_key_signed),
    };
    log_init("test_inbox_refusals", LOG_LEVEL_ERROR + 1);
    return cmocka_run_group_tests(tests, inbox_start, inbox_stop);
}
