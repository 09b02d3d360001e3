/* Metrics: the text of both formats, label escaping, the bound on series, many threads. */
#include "shared/base/metrics.h"

#include "shared/base/cleanup.h"
#include "shared/base/metrics_process.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const char *const ONE_LABEL[] = {"name", NULL};
static const char *const TWO_LABELS[] = {"name", "status", NULL};

static char *rendered(bool openmetrics)
{
    size_t length = 0;
    char *text = metrics_render(openmetrics, &length);
    assert_non_null(text);
    assert_int_equal(strlen(text), length);
    return text;
}

static void assert_shows(const char *expected, bool openmetrics)
{
    AUTO_FREE char *text = rendered(openmetrics);
    if (!strstr(text, expected))
        print_error("not found:\n%s\nin:\n%s\n", expected, text);
    assert_non_null(strstr(text, expected));
}

static void a_counter_has_its_suffix(void **state)
{
    struct metric *sent = metric_counter("mails_sent", "Mails\nsent", TWO_LABELS);
    (void)state;
    metric_add(sent, (const char *[]){"a", "ok"}, 1);
    metric_add(sent, (const char *[]){"a", "ok"}, 2);
    metric_add(sent, (const char *[]){"a", "failed"}, 1);
    assert_shows("# HELP mails_sent Mails\\nsent\n# TYPE mails_sent counter\n"
                 "mails_sent_total{name=\"a\",status=\"ok\"} 3\n"
                 "mails_sent_total{name=\"a\",status=\"failed\"} 1\n",
        true);
    assert_shows("# HELP mails_sent_total Mails\\nsent\n# TYPE mails_sent_total counter\n"
                 "mails_sent_total{name=\"a\",status=\"ok\"} 3\n",
        false);
}

static void a_metric_without_labels_starts_at_zero(void **state)
{
    struct metric *depth = metric_gauge("depth", "Depth", NULL);
    (void)state;
    assert_shows("# TYPE depth gauge\ndepth 0\n", true);
    metric_set(depth, NULL, -1.5);
    assert_shows("depth -1.5\n", true);
    metric_set(depth, NULL, 1e15 + 0.5);
    assert_shows("depth 1000000000000000.5\n", true);
}

static void a_histogram_is_cumulated(void **state)
{
    static const double BOUNDS[] = {0.1, 1};
    struct metric *seconds =
        metric_histogram("wait_seconds", "Wait", ONE_LABEL, BOUNDS, ARRAY_SIZE(BOUNDS));
    (void)state;
    metric_observe(seconds, (const char *[]){"q"}, 0.1); /* a bound is inclusive */
    metric_observe(seconds, (const char *[]){"q"}, 0.25);
    metric_observe(seconds, (const char *[]){"q"}, 7);
    assert_shows("# TYPE wait_seconds histogram\n"
                 "wait_seconds_bucket{name=\"q\",le=\"0.1\"} 1\n"
                 "wait_seconds_bucket{name=\"q\",le=\"1\"} 2\n"
                 "wait_seconds_bucket{name=\"q\",le=\"+Inf\"} 3\n"
                 "wait_seconds_sum{name=\"q\"} 7.35\n"
                 "wait_seconds_count{name=\"q\"} 3\n",
        true);
}

static void label_values_are_escaped(void **state)
{
    struct metric *odd = metric_gauge("odd", "Odd", ONE_LABEL);
    (void)state;
    metric_set(odd, (const char *[]){"a\"b\\c\nd"}, 1);
    assert_shows("odd{name=\"a\\\"b\\\\c\\nd\"} 1\n", true);
}

static void a_removed_series_is_gone(void **state)
{
    struct metric *lag = metric_gauge("lag", "Lag", ONE_LABEL);
    (void)state;
    metric_set(lag, (const char *[]){"one"}, 1);
    metric_set(lag, (const char *[]){"two"}, 2);
    metric_remove(lag, (const char *[]){"two"});
    metric_remove(lag, (const char *[]){"never"});
    metric_set(lag, (const char *[]){"three"}, 3);
    assert_shows("# TYPE lag gauge\nlag{name=\"one\"} 1\nlag{name=\"three\"} 3\n", true);
}

static void the_number_of_series_is_bounded(void **state)
{
    struct metric *many = metric_counter("many", "Many", ONE_LABEL);
    char value[16];
    (void)state;
    for (int i = 0; i < 1500; i++) {
        snprintf(value, sizeof value, "v%d", i);
        metric_add(many, (const char *[]){value}, 1);
    }
    metric_add(many, (const char *[]){"v0"}, 1); /* one that is known still counts for itself */
    assert_shows("many_total{name=\"v0\"} 2\n", true);
    assert_shows("many_total{name=\"other\"} 500\n", true);
}

static void collect(void *context)
{
    metric_set(context, NULL, 42);
}

static void collectors_run_before_each_exposition(void **state)
{
    struct metric *read = metric_gauge("read_on_demand", "Read", NULL);
    (void)state;
    metrics_on_collect(collect, read);
    assert_shows("read_on_demand 42\n", true);
}

static void *add_many(void *metric)
{
    for (int i = 0; i < 20000; i++)
        metric_add(metric, (const char *[]){i % 2 ? "odd" : "even"}, 1);
    return NULL;
}

static void threads_lose_nothing(void **state)
{
    struct metric *shared = metric_counter("shared", "Shared", ONE_LABEL);
    pthread_t threads[4];
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, add_many, shared), 0);
    for (int i = 0; i < 20; i++)
        free(rendered(true));
    for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
        pthread_join(threads[i], NULL);
    assert_shows("shared_total{name=\"odd\"} 40000\n", true);
    assert_shows("shared_total{name=\"even\"} 40000\n", true);
}

static void the_process_tells_of_itself(void **state)
{
    (void)state;
    metrics_process("test");
    metrics_process("test"); /* once is enough */
    AUTO_FREE char *text = rendered(true);
    static const char *const NAMES[] = {"\nbuild_info{program=\"test\",version=\"",
        "\nprocess_cpu_seconds_total ", "\nprocess_resident_memory_bytes ", "\nprocess_open_fds ",
        "\nprocess_max_fds ", "\nprocess_start_time_seconds "};
    for (size_t i = 0; i < ARRAY_SIZE(NAMES); i++) {
        const char *sample = strstr(text, NAMES[i]);
        assert_non_null(sample);
        assert_true(
            strtod(strrchr(strndupa(sample, strcspn(sample + 1, "\n") + 1), ' '), NULL) > 0);
        assert_null(strstr(sample + 1, NAMES[i]));
    }
    assert_string_equal(text + strlen(text) - 6, "# EOF\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_counter_has_its_suffix),
        cmocka_unit_test(a_metric_without_labels_starts_at_zero),
        cmocka_unit_test(a_histogram_is_cumulated),
        cmocka_unit_test(label_values_are_escaped),
        cmocka_unit_test(a_removed_series_is_gone),
        cmocka_unit_test(the_number_of_series_is_bounded),
        cmocka_unit_test(collectors_run_before_each_exposition),
        cmocka_unit_test(threads_lose_nothing),
        cmocka_unit_test(the_process_tells_of_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
