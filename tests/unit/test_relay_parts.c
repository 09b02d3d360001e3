/* The small parts of the relay: retry schedule, verdicts, parked keys, allow-list, lists of failed
 * events, CloudEvents, secrets. */
#include "outbox-relay/base/backoff.h"
#include "outbox-relay/engine/allow.h"
#include "outbox-relay/engine/keyset.h"
#include "outbox-relay/engine/secret.h"
#include "outbox-relay/engine/verdict.h"
#include "outbox-relay/event/cloudevent.h"
#include "outbox-relay/event/read_result.h"
#include "outbox-relay/http/retry_after.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define TRACEPARENT "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
#define TEXT(literal) ((struct text){(literal), sizeof(literal) - 1})

/* ---- Retry ---- */

static void statuses_are_judged(void **state)
{
    static const struct {
        int status;
        enum verdict verdict;
    } cases[] = {{200, VERDICT_DELIVERED}, {204, VERDICT_DELIVERED}, {299, VERDICT_DELIVERED},
        {301, VERDICT_DOWN}, {304, VERDICT_DOWN}, {400, VERDICT_REFUSED}, {401, VERDICT_REFUSED},
        {404, VERDICT_REFUSED}, {408, VERDICT_DOWN}, {410, VERDICT_GONE}, {413, VERDICT_REFUSED},
        {422, VERDICT_REFUSED}, {425, VERDICT_DOWN}, {429, VERDICT_DOWN}, {499, VERDICT_REFUSED},
        {500, VERDICT_REFUSED}, {501, VERDICT_DOWN}, {502, VERDICT_DOWN}, {503, VERDICT_DOWN},
        {504, VERDICT_DOWN}, {599, VERDICT_DOWN}, {101, VERDICT_DOWN}, {0, VERDICT_DOWN}};
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct response response = {.outcome = RESPONSE_STATUS, .status = cases[i].status};
        assert_int_equal(judge(&response), cases[i].verdict);
        response.outcome = RESPONSE_BROKEN;
        assert_int_equal(judge(&response), VERDICT_DOWN);
    }
}

static void retries_double_up_to_the_limit(void **state)
{
    uint64_t random = 1;
    (void)state;
    for (int attempts = 1; attempts < 100; attempts++) {
        int64_t full = attempts > 9 ? 60000 : 100 << attempts; /* 200, 400 … */
        full = full > 60000 ? 60000 : full;
        for (int i = 0; i < 100; i++) {
            int64_t wait = retry_wait_ms(200, 60000, attempts, random_next(&random));
            assert_true(wait >= full / 2 && wait <= full);
        }
    }
    assert_int_equal(retry_wait_ms(5000, 1000, 1, 0), 500); /* base above max */
    assert_int_equal(retry_wait_ms(1, 1, 1, 7), 1);
}

static void probes_have_full_jitter_and_heed_retry_after(void **state)
{
    uint64_t random = 1;
    int64_t least = INT64_MAX, most = 0;
    (void)state;
    for (int i = 0; i < 2000; i++) {
        int64_t wait = probe_wait_ms(500, 30000, 3, -1, random_next(&random));
        least = wait < least ? wait : least;
        most = wait > most ? wait : most;
    }
    assert_true(least >= 0 && least < 100 && most > 1900 && most <= 2000);
    assert_true(probe_wait_ms(500, 30000, 1000000, -1, UINT64_MAX) <= 30000);
    assert_int_equal(probe_wait_ms(500, 30000, 1, 120, 5), 120000);
    assert_int_equal(probe_wait_ms(500, 30000, 1, INT64_MAX, 5), 86400000);
    assert_int_equal(probe_wait_ms(500, 30000, 1, 0, 0), 0);
}

static void both_forms_of_retry_after_are_read(void **state)
{
    static const struct {
        const char *value;
        int64_t wait_s;
    } cases[] = {{"", -1}, {"0", 0}, {"120", 120}, {"999999999", 999999999},
        {"99999999999999999999", INT32_MAX}, {"soon", -1}, {"-5", -1},
        {"Sun, 06 Nov 1994 08:49:37 GMT", 37}, {"Sunday, 06-Nov-94 08:49:37 GMT", 37},
        {"Sun Nov  6 08:49:37 1994", 37}, {"Sun, 06 Nov 1994 08:48:59 GMT", -1}};
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        if (retry_after_parse(cases[i].value, 784111740) != cases[i].wait_s)
            fail_msg("\"%s\"", cases[i].value);
}

/* ---- Parked keys ---- */

/* Against a plain array, with keys that collide. */
static void keyset_behaves_as_a_table(void **state)
{
    enum { KEYS = 300 };
    struct keyset set = {0};
    int64_t parked[KEYS] = {0};
    bool there[KEYS] = {false};
    uint64_t random = 7;
    (void)state;
    for (int step = 0; step < 200000; step++) {
        uint64_t n = random_next(&random) % KEYS;
        uint64_t key = n * (n % 3 ? 1 : UINT64_C(0x2000000000)); /* 0 is a key like any */
        struct keyset_entry *entry = keyset_find(&set, key);
        assert_int_equal(entry != NULL, there[n]);
        if (entry)
            assert_int_equal(entry->parked, parked[n]);
        if (random_next(&random) % 2) {
            keyset_add(&set, key)->parked++;
            parked[n]++;
            there[n] = true;
        } else if (entry) {
            entry->parked = parked[n] = random_next(&random) % 3 ? parked[n] : 0;
            keyset_remove_if_idle(&set, key);
            there[n] = parked[n] > 0;
        }
    }
    size_t count = 0;
    for (int i = 0; i < KEYS; i++)
        count += there[i];
    assert_int_equal(set.count, count);
    keyset_add(&set, 12345)->parking++;
    keyset_forget_parked(&set);
    keyset_sweep(&set);
    assert_int_equal(set.count, 1);
    assert_non_null(keyset_find(&set, 12345));
    keyset_release(&set);
    assert_null(keyset_find(&set, 12345));
}

/* ---- Allow-list ---- */

static void urls_are_allowed_by_host(void **state)
{
    static const struct {
        const char *list, *url;
        bool allowed;
    } cases[] = {
        {"", "http://anything/", true},
        {" , ", "https://anything/", true},
        {"", "ftp://anything/", false},
        {"", "file:///etc/passwd", false},
        {"", "no url", false},
        {"", "http://user:password@host/", false},
        {"a.example", "http://a.example/x", true},
        {"a.example", "http://A.EXAMPLE:99/x", true},
        {"A.example", "http://a.example", true},
        {"a.example", "http://b.example/", false},
        {"a.example", "http://a.example.evil/", false},
        {"a.example", "http://xa.example/", false},
        {"a.example:80", "http://a.example/", true},
        {"a.example:80", "https://a.example/", false},
        {"a.example:443", "https://a.example/", true},
        {"a.example:8080", "http://a.example:8080/", true},
        {"a.example:8080", "http://a.example:80/", false},
        {"*.example", "http://a.example/", true},
        {"*.example", "http://a.b.example/", true},
        {"*.example", "http://example/", false},
        {"*.example", "http://aexample/", false},
        {"x, *.example:81  y", "http://a.example:81/", true},
        {"[::1]", "http://[::1]:8000/", true},
        {"[::1]:8000", "http://[::1]:8000/", true},
        {"[::1]:8000", "http://[::1]:8001/", false},
        {"127.0.0.1", "http://127.0.0.1@evil/", false},
        {"127.0.0.1", "http://127.0.0.1.evil/", false},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        if (allow_url(cases[i].list, cases[i].url) != cases[i].allowed)
            fail_msg("\"%s\" %s", cases[i].list, cases[i].url);
}

/* ---- Lists of failed events ---- */

static enum verdict parse(const char *body, enum verdict verdict, struct failed_list *failed)
{
    struct response response = {
        .outcome = RESPONSE_STATUS, .status = 200, .body = body, .body_length = strlen(body)};
    *failed = (struct failed_list){0};
    return judge_failed_list(&response, verdict, failed);
}

static void lists_of_failures_are_read(void **state)
{
    static const unsigned char uuid[16] = {
        0x01, 0x9a, 0, 0, 0, 0, 0x70, 0, 0x80, 0, 0, 0, 0, 0, 0, 9};
    static const char list[] = "{\"failed\":[{\"id\":\"019A0000-0000-7000-8000-000000000009\","
                               "\"error\":\"no\",\"permanent\":true},"
                               "{\"id\":\"019a0000-0000-7000-8000-00000000000a\"}]}";
    struct failed_list failed;
    (void)state;
    for (enum verdict verdict = VERDICT_DELIVERED; verdict <= VERDICT_REFUSED; verdict++) {
        assert_int_equal(parse(list, verdict, &failed), VERDICT_DELIVERED);
        assert_int_equal(failed.count, 2);
        const struct failed_event *entry = failed_list_find(&failed, uuid);
        assert_non_null(entry);
        assert_string_equal(entry->error, "no");
        assert_true(entry->permanent);
        assert_false(failed.entries[1].permanent);
        assert_null(failed_list_find(&failed, (const unsigned char *)"0123456789abcdef"));
        failed_list_release(&failed);
    }
}

static void other_answers_stay_what_they_are(void **state)
{
    static const char *const UNREADABLE[] = {"{\"failed\":", "{\"failed\":1}", "{\"failed\":[1]}",
        "{\"failed\":[{}]}", "{\"failed\":[{\"id\":\"1\"}]}", "[\"failed\"", "{\"failed\":\"1\"}",
        "{\"f\\u0061iled\":1}", "{\"failed\":[],\"failed\":[1]}"};
    static const char *const NONE_FAILED[] = {
        "{\"done\":3,\"failed\":0}", "{\"failed\":null}", "{\"failed\":false}"};
    struct failed_list failed;
    (void)state;
    assert_int_equal(parse("", VERDICT_DELIVERED, &failed), VERDICT_DELIVERED);
    assert_int_equal(parse("<html>", VERDICT_REFUSED, &failed), VERDICT_REFUSED);
    assert_int_equal(parse("C:\\>", VERDICT_DELIVERED, &failed), VERDICT_DELIVERED);
    for (size_t i = 0; i < ARRAY_SIZE(NONE_FAILED); i++)
        assert_int_equal(parse(NONE_FAILED[i], VERDICT_DELIVERED, &failed), VERDICT_DELIVERED);
    assert_int_equal(parse("{\"failed\":[]}", VERDICT_DELIVERED, &failed), VERDICT_DELIVERED);
    failed_list_release(&failed);
    /* A refusal that names nobody delivers nothing. */
    assert_int_equal(parse("{\"failed\":[]}", VERDICT_REFUSED, &failed), VERDICT_REFUSED);
    assert_int_equal(
        parse("{\"x\":\"\\\"failed\\\"\"}", VERDICT_DELIVERED, &failed), VERDICT_DELIVERED);
    for (size_t i = 0; i < ARRAY_SIZE(UNREADABLE); i++) {
        assert_int_equal(parse(UNREADABLE[i], VERDICT_DELIVERED, &failed), VERDICT_REFUSED);
        assert_null(failed.json);
    }
}

static void escapes_do_not_hide_a_list(void **state)
{
    static const char list[] =
        "{\"f\\u0061iled\":[{\"id\":\"019a0000-0000-7000-8000-00000000000a\"}]}";
    struct failed_list failed;
    (void)state;
    assert_int_equal(parse(list, VERDICT_DELIVERED, &failed), VERDICT_DELIVERED);
    assert_int_equal(failed.count, 1);
    failed_list_release(&failed);
}

static enum verdict parse_cut(const char *body)
{
    struct failed_list failed;
    return judge_failed_list(
        &(struct response){.status = 200, .body = body, .body_length = strlen(body), .cut = true},
        VERDICT_DELIVERED, &failed);
}

/* What was dropped may have been a list. */
static void an_object_that_was_cut_delivers_nothing(void **state)
{
    (void)state;
    assert_int_equal(parse_cut("<html>"), VERDICT_DELIVERED);
    assert_int_equal(parse_cut("\n{\"note\":\""), VERDICT_REFUSED);
    assert_int_equal(parse_cut(" \n"), VERDICT_REFUSED);
    assert_int_equal(parse_cut(""), VERDICT_REFUSED);
}

/* ---- CloudEvents ---- */

static const struct event EVENT = {
    .id = 42,
    .created_us = INT64_C(1700000000000042),
    .uuid = {1, 2, 3, 4, 5, 6, 0x77, 8, 0x89, 10, 11, 12, 13, 14, 15, 255},
    .aggregate_type = {"order", 5},
    .aggregate_id = {"7\n\"\\\x01", 5},
    .type = {"order.created", 13},
    .payload = {"{\"a\": 1}", 8},
};

static void an_event_is_written(void **state)
{
    struct buffer buffer = {0};
    struct event event = EVENT;
    (void)state;
    event.traceparent = TEXT(TRACEPARENT);
    event.tracestate = TEXT("a=\"b\\c\"");
    cloudevent_add(&buffer, "\"/shop\"", &event);
    buffer_add(&buffer, "", 1);
    assert_string_equal(buffer.data,
        "{\"specversion\":\"1.0\",\"id\":\"01020304-0506-7708-890a-0b0c0d0e0fff\",\"source\":\"/"
        "shop\","
        "\"type\":\"order.created\",\"subject\":\"7\\n\\\"\\\\\\u0001\","
        "\"time\":\"2023-11-14T22:13:20.000042Z\",\"datacontenttype\":\"application/json\","
        "\"partitionkey\":\"order:7\\n\\\"\\\\\\u0001\",\"sequence\":\"00000000000000000042\","
        "\"traceparent\":\"" TRACEPARENT "\",\"tracestate\":\"a=\\\"b\\\\c\\\"\","
        "\"data\":{\"a\": 1}}");
    buffer_release(&buffer);
}

static void moments_before_1970_and_across_seconds(void **state)
{
    static const struct {
        int64_t unix_us;
        const char *text;
    } cases[] = {{0, "1970-01-01T00:00:00.000000Z"}, {-1, "1969-12-31T23:59:59.999999Z"},
        {999999, "1970-01-01T00:00:00.999999Z"}, {1000000, "1970-01-01T00:00:01.000000Z"},
        {INT64_C(951782400000001), "2000-02-29T00:00:00.000001Z"}};
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct buffer buffer = {0};
        struct event event = EVENT;
        event.created_us = cases[i].unix_us;
        cloudevent_add(&buffer, "\"/s\"", &event);
        buffer_add(&buffer, "", 1);
        assert_non_null(strstr(buffer.data, cases[i].text));
        buffer_release(&buffer);
    }
}

/* What is no trace context would make the event invalid. Numbers and objects come as their text. */
static void other_trace_headers_are_left_out(void **state)
{
    static const char *const PARENTS[] = {"", "00-a\"b", "5",
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01"};
    static const char *const STATES[] = {"", "5", "1e5", "true", "[\"a=b\"]", "{\"a\": \"=\"}",
        "a=\n", "a=\u00e4", "a", "=b", "A=b"};
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(STATES); i++) {
        const char *parent = PARENTS[i % ARRAY_SIZE(PARENTS)];
        struct buffer buffer = {0};
        struct event event = EVENT;
        event.traceparent = (struct text){parent, (uint32_t)strlen(parent)};
        event.tracestate = (struct text){STATES[i], (uint32_t)strlen(STATES[i])};
        cloudevent_add(&buffer, "\"/shop\"", &event);
        buffer_add(&buffer, "", 1);
        if (strstr(buffer.data, "trace"))
            fail_msg("%s", buffer.data);
        buffer_release(&buffer);
    }
}

/* A row of READ_PARKED; the server writes its numbers in network order. */
static PGresult *row_of_all_columns(void)
{
    static const struct {
        const char *bytes;
        int length;
    } VALUES[EVENT_COLUMNS] = {
        [EVENT_ID] = {"\x01\x02\x03\x04\x05\x06\x07\x08", 8},
        [EVENT_UUID] = {"0123456789abcdef", 16},
        [EVENT_AGGREGATE_TYPE] = {"order", 5},
        [EVENT_AGGREGATE_ID] = {"42", 2},
        [EVENT_TYPE] = {"order.paid", 10},
        [EVENT_CREATED_AT] = {"\xff\xff\xff\xff\xff\xff\xff\xfe", 8},
        [EVENT_SIZE] = {"\x00\x01\x02\x03", 4},
        [EVENT_PAYLOAD] = {"\x01{\"a\": 1}", 9}, /* the version of jsonb's binary form first */
        [EVENT_TRACEPARENT] = {TRACEPARENT, sizeof(TRACEPARENT) - 1},
        [EVENT_TRACESTATE] = {NULL, -1},
        [EVENT_ATTEMPTS] = {"\x00\x00\x01\x00", 4},
    };
    PGresult *result = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
    PGresAttDesc columns[EVENT_COLUMNS] = {0};
    assert_non_null(result);
    for (int i = 0; i < EVENT_COLUMNS; i++)
        columns[i] = (PGresAttDesc){.name = (char *)"", .format = 1};
    assert_true(PQsetResultAttrs(result, EVENT_COLUMNS, columns));
    for (int i = 0; i < EVENT_COLUMNS; i++)
        assert_true(PQsetvalue(result, 0, i, (char *)VALUES[i].bytes, VALUES[i].length));
    return result;
}

static void assert_text(struct text text, const char *wanted)
{
    assert_int_equal(text.length, strlen(wanted));
    assert_memory_equal(text.data, wanted, text.length);
}

static void rows_are_read(void **state)
{
    (void)state;
    struct read_result *read = read_result_new(row_of_all_columns(), row_of_all_columns());
    assert_non_null(read);
    assert_int_equal(read->count, 2);
    assert_int_equal(read->payload_bytes, 2 * 0x010203);
    const struct event *event = &read->events[1];
    assert_true(event->id == INT64_C(0x0102030405060708));
    assert_true(event->created_us == INT64_C(946684800000000) - 2); /* from the year 2000 */
    assert_int_equal(event->attempts, 256);
    assert_memory_equal(event->uuid, "0123456789abcdef", 16);
    assert_true(event->key == event_key(TEXT("order"), TEXT("42")));
    assert_text(event->aggregate_type, "order");
    assert_text(event->aggregate_id, "42");
    assert_text(event->type, "order.paid");
    assert_text(event->payload, "{\"a\": 1}");
    assert_text(event->traceparent, TRACEPARENT);
    assert_text(event->tracestate, "");
    read_result_unref(read);
}

static void keys_have_two_parts(void **state)
{
    (void)state;
    assert_int_equal(event_key(TEXT("a"), TEXT("b")), event_key(TEXT("a"), TEXT("b")));
    assert_int_not_equal(event_key(TEXT("ab"), TEXT("c")), event_key(TEXT("a"), TEXT("bc")));
    assert_int_not_equal(event_key(TEXT("ab"), TEXT("")), event_key(TEXT(""), TEXT("ab")));
}

/* ---- Secrets ---- */

static void secrets_come_from_three_places(void **state)
{
    static const char secret[] = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX";
    struct webhook_key key;
    char path[] = "/tmp/relay-secret-XXXXXX", reference[64];
    (void)state;
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_true(dprintf(fd, "%s\nsecond line\n", secret) > 0);
    close(fd);
    snprintf(reference, sizeof(reference), "file:%s", path);
    assert_int_equal(secret_resolve(reference, &key), 0);
    assert_int_equal(key.length, 24);
    unlink(path);
    assert_int_equal(secret_resolve(reference, &key), -ENOENT);
    assert_int_equal(secret_resolve("file:/", &key), -EISDIR);
    assert_int_equal(secret_resolve("file:/dev/null", &key), -EINVAL);
    setenv("RELAY_TEST_SECRET", secret, 1);
    assert_int_equal(secret_resolve("env:RELAY_TEST_SECRET", &key), 0);
    assert_int_equal(secret_resolve("env:RELAY_TEST_NONE", &key), -ENOENT);
    assert_int_equal(secret_resolve(secret, &key), 0);
    assert_int_equal(secret_resolve("secret", &key), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(statuses_are_judged),
        cmocka_unit_test(retries_double_up_to_the_limit),
        cmocka_unit_test(probes_have_full_jitter_and_heed_retry_after),
        cmocka_unit_test(both_forms_of_retry_after_are_read),
        cmocka_unit_test(keyset_behaves_as_a_table),
        cmocka_unit_test(urls_are_allowed_by_host),
        cmocka_unit_test(lists_of_failures_are_read),
        cmocka_unit_test(other_answers_stay_what_they_are),
        cmocka_unit_test(escapes_do_not_hide_a_list),
        cmocka_unit_test(an_object_that_was_cut_delivers_nothing),
        cmocka_unit_test(an_event_is_written),
        cmocka_unit_test(moments_before_1970_and_across_seconds),
        cmocka_unit_test(other_trace_headers_are_left_out),
        cmocka_unit_test(rows_are_read),
        cmocka_unit_test(keys_have_two_parts),
        cmocka_unit_test(secrets_come_from_three_places),
    };
    return cmocka_run_group_tests_name("relay parts", tests, NULL, NULL);
}
