/* Counters, gauges and histograms with labels, written as OpenMetrics text (with the Prometheus
 * 0.0.4 content type when the client does not accept OpenMetrics). Thread-safe. Metrics live as
 * long as the program; the number of label combinations of one metric is bounded (1,000; further
 * ones are counted under the label value "other"). */
#ifndef SHARED_METRICS_H
#define SHARED_METRICS_H

#include <stddef.h>
#include <stdint.h>

struct metric;

#define METRIC_MAX_LABELS 4

/* `name` without "_total"; labels is a NULL-ended list of label names, or NULL. All borrowed for
 * ever (literals). Never fail: out of memory at start aborts. */
struct metric *metric_counter(const char *name, const char *help, const char *const *labels);
struct metric *metric_gauge(const char *name, const char *help, const char *const *labels);
/* `bounds`: upper bounds in rising order, +Inf is added. */
struct metric *metric_histogram(const char *name, const char *help, const char *const *labels,
    const double *bounds, size_t bound_count);

/* From 0.5 ms to 10 s, in seconds; for durations of requests and deliveries. */
extern const double METRIC_SECONDS[];
extern const size_t METRIC_SECONDS_COUNT;

/* `values`: one value for each label, in order; NULL when the metric has none. Values are copied.
 */
void metric_add(struct metric *metric, const char *const *values, double amount);    /* counter */
void metric_set(struct metric *metric, const char *const *values, double value);     /* gauge */
void metric_observe(struct metric *metric, const char *const *values, double value); /* histogram */
/* Many observations of a histogram at once: `counts` has one number for each bound and one for +Inf
 * (not cumulated), `sum` is the sum of all values. */
void metric_observe_counts(
    struct metric *metric, const char *const *values, const uint64_t *counts, double sum);
void metric_remove(struct metric *metric, const char *const *values); /* a label set that is gone */

/* Called before each exposition, to set gauges that are read rather than kept. */
void metrics_on_collect(void (*collect)(void *context), void *context);

/* The whole exposition, NUL-terminated; the caller frees it. NULL when out of memory. */
char *metrics_render(int openmetrics, size_t *ret_length);

#endif
