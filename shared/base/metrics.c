/* Metrics in memory and their text form (OpenMetrics 1.0, Prometheus 0.0.4). One lock for each
 * metric; series are found by a hash of their label values, which live in one block each. */
#include "shared/base/metrics.h"

#include "shared/base/cleanup.h"
#include "shared/base/hash.h"

#include <math.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_SERIES 1000
#define BUCKETS 256 /* of the hash table; a power of two */
#define MAX_COLLECTORS 16

const double METRIC_SECONDS[] = {
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10};
const size_t METRIC_SECONDS_COUNT = ARRAY_SIZE(METRIC_SECONDS);

enum metric_type { COUNTER, GAUGE, HISTOGRAM };

struct series {
    struct series *next_in_bucket;
    struct series *next; /* in order of creation */
    char *values[METRIC_MAX_LABELS];
    double value;     /* of a counter or gauge; the sum of a histogram */
    uint64_t count;   /* of observations */
    uint64_t bound[]; /* observations in each bucket of a histogram, not cumulated; then +Inf */
};

struct metric {
    struct metric *next;
    const char *name, *help;
    enum metric_type type;
    const char *labels[METRIC_MAX_LABELS];
    size_t label_count;
    const double *bounds;
    size_t bound_count;

    pthread_mutex_t lock; /* guards what follows */
    struct series *buckets[BUCKETS];
    struct series *first, **last;
    size_t series_count;
};

static pthread_mutex_t registry_lock = PTHREAD_MUTEX_INITIALIZER;
static struct metric *registry_first, **registry_last = &registry_first;
static struct {
    void (*collect)(void *context);
    void *context;
} collectors[MAX_COLLECTORS];
static size_t collector_count;

/* Metrics are made at start; a program without memory for them is of no use. */
static void *must_allocate(size_t size)
{
    void *memory = calloc(1, size);
    if (!memory)
        abort();
    return memory;
}

static struct metric *metric_new(
    enum metric_type type, const char *name, const char *help, const char *const *labels)
{
    struct metric *metric = must_allocate(sizeof *metric);
    metric->type = type;
    metric->name = name;
    metric->help = help;
    metric->last = &metric->first;
    pthread_mutex_init(&metric->lock, NULL);
    for (; labels && labels[metric->label_count]; metric->label_count++) {
        if (metric->label_count == METRIC_MAX_LABELS)
            abort();
        metric->labels[metric->label_count] = labels[metric->label_count];
    }
    return metric;
}

static uint64_t hash_values(const struct metric *metric, const char *const *values)
{
    uint64_t hash = HASH_START;
    for (size_t i = 0; i < metric->label_count; i++)
        hash = hash_text(hash, values[i]);
    return hash;
}

static bool has_values(
    const struct metric *metric, const struct series *series, const char *const *values)
{
    for (size_t i = 0; i < metric->label_count; i++) {
        if (strcmp(series->values[i], values[i]) != 0)
            return false;
    }
    return true;
}

/* The place in its bucket's list where the series is, or where it would be added. */
static struct series **find_link(struct metric *metric, const char *const *values)
{
    struct series **link = &metric->buckets[hash_values(metric, values) % BUCKETS];
    while (*link && !has_values(metric, *link, values))
        link = &(*link)->next_in_bucket;
    return link;
}

static struct series *series_new(const struct metric *metric, const char *const *values)
{
    size_t bounds = metric->type == HISTOGRAM ? metric->bound_count + 1 : 0;
    size_t size = sizeof(struct series) + bounds * sizeof(uint64_t);
    size_t text = 0;
    for (size_t i = 0; i < metric->label_count; i++)
        text += strlen(values[i]) + 1;
    struct series *series = calloc(1, size + text);
    if (!series)
        return NULL;
    char *end = (char *)series + size;
    for (size_t i = 0; i < metric->label_count; i++) {
        series->values[i] = end;
        end = stpcpy(end, values[i]) + 1;
    }
    return series;
}

/* The series with these values, made where it is missing; with the lock held. NULL when out of
 * memory: the observation is then lost, the program goes on. */
static struct series *find_or_add(struct metric *metric, const char *const *values)
{
    static const char *const OTHER[METRIC_MAX_LABELS] = {"other", "other", "other", "other"};
    struct series **link = find_link(metric, values);
    if (!*link && metric->series_count >= MAX_SERIES)
        link = find_link(metric, values = OTHER);
    struct series *series = *link;
    if (series)
        return series;
    series = series_new(metric, values);
    if (!series)
        return NULL;
    *link = series;
    *metric->last = series;
    metric->last = &series->next;
    metric->series_count++;
    return series;
}

/* The last step of making a metric: a metric without labels is exposed from the start, as 0. */
static struct metric *metric_register(struct metric *metric)
{
    static const char *const NO_VALUES[] = {NULL};
    if (metric->label_count == 0 && !find_or_add(metric, NO_VALUES))
        abort();
    pthread_mutex_lock(&registry_lock);
    *registry_last = metric;
    registry_last = &metric->next;
    pthread_mutex_unlock(&registry_lock);
    return metric;
}

struct metric *metric_counter(const char *name, const char *help, const char *const *labels)
{
    return metric_register(metric_new(COUNTER, name, help, labels));
}

struct metric *metric_gauge(const char *name, const char *help, const char *const *labels)
{
    return metric_register(metric_new(GAUGE, name, help, labels));
}

struct metric *metric_histogram(const char *name, const char *help, const char *const *labels,
    const double *bounds, size_t bound_count)
{
    struct metric *metric = metric_new(HISTOGRAM, name, help, labels);
    metric->bounds = bounds;
    metric->bound_count = bound_count;
    return metric_register(metric);
}

void metric_add(struct metric *metric, const char *const *values, double amount)
{
    pthread_mutex_lock(&metric->lock);
    struct series *series = find_or_add(metric, values);
    if (series)
        series->value += amount;
    pthread_mutex_unlock(&metric->lock);
}

void metric_set(struct metric *metric, const char *const *values, double value)
{
    pthread_mutex_lock(&metric->lock);
    struct series *series = find_or_add(metric, values);
    if (series)
        series->value = value;
    pthread_mutex_unlock(&metric->lock);
}

void metric_observe(struct metric *metric, const char *const *values, double value)
{
    size_t bucket = 0;
    while (bucket < metric->bound_count && value > metric->bounds[bucket])
        bucket++;
    pthread_mutex_lock(&metric->lock);
    struct series *series = find_or_add(metric, values);
    if (series) {
        series->value += value;
        series->count++;
        series->bound[bucket]++;
    }
    pthread_mutex_unlock(&metric->lock);
}

void metric_observe_counts(
    struct metric *metric, const char *const *values, const uint64_t *counts, double sum)
{
    pthread_mutex_lock(&metric->lock);
    struct series *series = find_or_add(metric, values);
    for (size_t i = 0; series && i <= metric->bound_count; i++) {
        series->bound[i] += counts[i];
        series->count += counts[i];
    }
    if (series)
        series->value += sum;
    pthread_mutex_unlock(&metric->lock);
}

void metric_remove(struct metric *metric, const char *const *values)
{
    pthread_mutex_lock(&metric->lock);
    struct series **link = find_link(metric, values);
    struct series *series = *link;
    if (series) {
        *link = series->next_in_bucket;
        struct series **in_order = &metric->first;
        while (*in_order != series)
            in_order = &(*in_order)->next;
        *in_order = series->next;
        if (metric->last == &series->next)
            metric->last = in_order;
        metric->series_count--;
        free(series);
    }
    pthread_mutex_unlock(&metric->lock);
}

void metrics_on_collect(void (*collect)(void *context), void *context)
{
    pthread_mutex_lock(&registry_lock);
    if (collector_count == MAX_COLLECTORS)
        abort();
    collectors[collector_count].collect = collect;
    collectors[collector_count].context = context;
    collector_count++;
    pthread_mutex_unlock(&registry_lock);
}

/* A label's value or a help text: backslash, newline and quote are escaped. */
static void print_escaped(FILE *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '\n')
            fputs("\\n", out);
        else if (*text == '\\' || *text == '"')
            fprintf(out, "\\%c", *text);
        else
            fputc(*text, out);
    }
}

/* The shortest decimal that reads back as the same double. */
static void print_number(FILE *out, double value)
{
    char text[32];
    if (isinf(value)) {
        fputs(value > 0 ? "+Inf" : "-Inf", out);
        return;
    }
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    fputs(text, out);
}

/* {a="b",le="0.5"} */
static void print_labels(
    FILE *out, const struct metric *metric, const struct series *series, const double *bound)
{
    const char *separator = "{";
    for (size_t i = 0; i < metric->label_count; i++) {
        fprintf(out, "%s%s=\"", separator, metric->labels[i]);
        print_escaped(out, series->values[i]);
        fputc('"', out);
        separator = ",";
    }
    if (bound) {
        fprintf(out, "%sle=\"", separator);
        print_number(out, *bound);
        fputc('"', out);
    }
    if (metric->label_count > 0 || bound)
        fputc('}', out);
}

static void print_sample(FILE *out, const struct metric *metric, const struct series *series,
    const char *suffix, const double *bound, double value)
{
    fprintf(out, "%s%s", metric->name, suffix);
    print_labels(out, metric, series, bound);
    fputc(' ', out);
    print_number(out, value);
    fputc('\n', out);
}

static void print_histogram(FILE *out, const struct metric *metric, const struct series *series)
{
    uint64_t below = 0;
    for (size_t i = 0; i <= metric->bound_count; i++) {
        double bound = i < metric->bound_count ? metric->bounds[i] : INFINITY;
        below += series->bound[i];
        print_sample(out, metric, series, "_bucket", &bound, (double)below);
    }
    print_sample(out, metric, series, "_sum", NULL, series->value);
    print_sample(out, metric, series, "_count", NULL, (double)series->count);
}

static void print_metric(FILE *out, struct metric *metric, bool openmetrics)
{
    static const char *const TYPES[] = {"counter", "gauge", "histogram"};
    /* The old format names the family as its samples are named. */
    const char *family_suffix = metric->type == COUNTER && !openmetrics ? "_total" : "";
    fprintf(out, "# HELP %s%s ", metric->name, family_suffix);
    print_escaped(out, metric->help);
    fprintf(out, "\n# TYPE %s%s %s\n", metric->name, family_suffix, TYPES[metric->type]);

    pthread_mutex_lock(&metric->lock);
    for (const struct series *series = metric->first; series; series = series->next) {
        if (metric->type == HISTOGRAM)
            print_histogram(out, metric, series);
        else
            print_sample(
                out, metric, series, metric->type == COUNTER ? "_total" : "", NULL, series->value);
    }
    pthread_mutex_unlock(&metric->lock);
}

char *metrics_render(int openmetrics, size_t *ret_length)
{
    pthread_mutex_lock(&registry_lock);
    size_t count = collector_count;
    struct metric *first = registry_first;
    pthread_mutex_unlock(&registry_lock);

    for (size_t i = 0; i < count; i++)
        collectors[i].collect(collectors[i].context);

    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    if (!out)
        return NULL;
    for (struct metric *metric = first; metric; metric = metric->next)
        print_metric(out, metric, openmetrics);
    if (openmetrics)
        fputs("# EOF\n", out);
    bool failed = ferror(out);
    if (fclose(out) != 0 || failed) {
        free(text);
        return NULL;
    }
    *ret_length = length;
    return text;
}
