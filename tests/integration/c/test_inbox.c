/* The inbox over HTTP against a real database: effects, duplicates, partial failures of a batch,
 * conflicts, a database that is away. What it refuses is in test_inbox_refusals.c. */
#include "shared/base/json.h"
#include "shared/base/log.h"
#include "shared/base/metrics.h"
#include "shared/service/inbox.h"
#include "tests/support/database.h"
#include "tests/support/inbox_fixture.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define TRACEPARENT "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

static void an_event_has_its_effect_once(void **state)
{
    struct spec spec = {next_number(1), "test.add", "a", 1};
    (void)state;
    for (int i = 0; i < 3; i++)
        assert_one(&spec, 200, NULL);
    assert_int_equal(effects_of(spec.number), 1);
    AUTO_FREE char *row = database_query(service.conninfo,
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
    assert_int_equal(
        database_count(service.conninfo, "select count(*) from effect where event_id = "
                                         "'0000abcd-0000-4000-8000-00000000abcd'"),
        1);
    /* Without partitionkey and subject an event is its own key. */
    assert_int_equal(database_count(service.conninfo, "select count(*) from effect where key = "
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
        database_count(service.conninfo, "select count(*) from effect where key = 'many'"), EVENTS);
    assert_int_equal(database_count(service.conninfo,
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
    assert_int_equal(
        database_count(service.conninfo, "select version from state where key = 's'"), 3);
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
        database_count(service.conninfo, "select count(*) from effect where key = 'twice'"), 50);
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
        database_count(service.conninfo,
            "select count(*) from effect where key = 'trace' and headers ->> 'traceparent' = "
            "'" TRACEPARENT "' and headers ->> 'tracestate' = 'a=b' and headers ? 'requestid'"),
        1);

    struct spec without = {next_number(1), "test.add", "no-trace", 1};
    assert_one(&without, 200, NULL);
    assert_int_equal(
        database_count(service.conninfo, "select count(*) from effect where key = 'no-trace' "
                                         "and headers ->> 'traceparent' like '00-%'"),
        1);
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
    free(database_query(service.conninfo,
        "insert into inbox.message (event_id, source, event_type, received_at) "
        "select gen_random_uuid(), '/old', 'old', now() - interval '31 days' "
        "from generate_series(1, 1500)"));
    for (int i = 0; i < 1000; i++)
        specs[i] = (struct spec){first + i, "test.unknown", "a", 1};
    assert_null(send_batch(specs, 1000));
    assert_int_equal(database_count(service.conninfo,
                         "select count(*) from inbox.message where source = '/old'"),
        0);
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
        cmocka_unit_test(a_database_away_is_503),
        cmocka_unit_test(old_messages_are_forgotten),
        cmocka_unit_test(outcomes_are_counted),
    };
    log_init("test_inbox", LOG_LEVEL_ERROR + 1);
    return cmocka_run_group_tests(tests, inbox_start, inbox_stop);
}
