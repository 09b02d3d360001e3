/* See metrics_page.h. */
#include "outbox-relay/cli/metrics_page.h"
#include "outbox-relay/engine/metrics.h"
#include "shared/base/cleanup.h"
#include "shared/base/clock.h"
#include "shared/base/metrics.h"

#include <stdio.h>
#include <string.h>

#define US_PER_S 1000000.0

static struct {
    pthread_mutex_t lock;
    struct source *const *sources;
    size_t count;
} watched = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct metric *parked_events;
static struct metric *lag_events, *lag_seconds, *parked_keys, *breaker, *paused;
static struct metric *leader, *connected, *asleep, *epoch;
static struct metric *delivered, *attempts, *latency;
static struct metric *wakes, *reads, *events_read, *elections, *reconnects;

static double gauge(const relay_gauge *value)
{
    return (double)gauge_read(value);
}

/* What has been counted since the last time. */
static double since(const relay_counter *counter, uint64_t *reported)
{
    uint64_t value = counter_read(counter), difference = value - *reported;
    *reported = value;
    return (double)difference;
}

static void collect_latency(struct subscription_metrics *m, const char *const *labels)
{
    uint64_t counts[LATENCY_BUCKETS];
    for (size_t i = 0; i < LATENCY_BUCKETS; i++)
        counts[i] = (uint64_t)since(&m->latency[i], &m->reported.latency[i]);
    double sum_us = since(&m->latency_sum_us, &m->reported.latency_sum_us);
    metric_observe_counts(latency, labels, counts, sum_us / US_PER_S);
}

static void collect_counters(struct subscription_metrics *m, const char *const *labels)
{
    static const char *const OUTCOMES[ATTEMPT_OUTCOMES] = {"delivered", "refused", "down", "gone"};
    metric_add(delivered, labels, since(&m->delivered, &m->reported.delivered));
    for (int i = 0; i < ATTEMPT_OUTCOMES; i++) {
        const char *const values[] = {labels[0], labels[1], OUTCOMES[i]};
        metric_add(attempts, values, since(&m->attempts[i], &m->reported.attempts[i]));
    }
    collect_latency(m, labels);
}

static void collect_parked(struct subscription_metrics *m, const char *const *labels)
{
    struct {
        const char *status;
        const relay_gauge *count;
    } const parked[] = {{"retrying", &m->retrying}, {"blocked", &m->blocked}, {"dead", &m->dead}};
    for (size_t i = 0; i < ARRAY_SIZE(parked); i++) {
        const char *const values[] = {labels[0], labels[1], parked[i].status};
        if (m->current)
            metric_set(parked_events, values, gauge(parked[i].count));
        else
            metric_remove(parked_events, values);
    }
}

static void collect_gauges(struct subscription_metrics *m, const char *const *labels)
{
    collect_parked(m, labels);
    struct metric *const gauges[] = {lag_events, lag_seconds, parked_keys, breaker, paused};
    if (!m->current) {
        for (size_t i = 0; i < ARRAY_SIZE(gauges); i++)
            metric_remove(gauges[i], labels);
        return;
    }
    double oldest_us = gauge(&m->oldest_us);
    metric_set(lag_events, labels, gauge(&m->lag_events));
    metric_set(
        lag_seconds, labels, oldest_us > 0 ? ((double)clock_unix_us() - oldest_us) / US_PER_S : 0);
    metric_set(parked_keys, labels, gauge(&m->parked_keys));
    metric_set(breaker, labels, gauge(&m->breaker));
    metric_set(paused, labels, gauge(&m->state));
}

static void collect_source(struct source *source)
{
    struct source_metrics *m = source_metrics(source);
    const char *name = source_name(source);
    const char *const labels[] = {name}, *const notify[] = {name, "notify"},
                      *const poll[] = {name, "poll"};
    metric_set(leader, labels, gauge(&m->leader));
    metric_set(connected, labels, gauge(&m->connected));
    metric_set(epoch, labels, gauge(&m->epoch));
    metric_set(asleep, labels, gauge(&m->asleep));
    metric_add(wakes, notify, since(&m->wakes_notify, &m->reported.wakes_notify));
    metric_add(wakes, poll, since(&m->wakes_poll, &m->reported.wakes_poll));
    metric_add(reads, labels, since(&m->reads, &m->reported.reads));
    metric_add(events_read, labels, since(&m->events_read, &m->reported.events_read));
    metric_add(elections, labels, since(&m->elections, &m->reported.elections));
    metric_add(reconnects, labels, since(&m->reconnects, &m->reported.reconnects));
    pthread_mutex_lock(&m->lock);
    for (struct subscription_metrics *each = m->subscriptions; each; each = each->next) {
        const char *const values[] = {name, each->name};
        collect_counters(each, values);
        collect_gauges(each, values);
    }
    pthread_mutex_unlock(&m->lock);
}

static void collect(void *context)
{
    (void)context;
    pthread_mutex_lock(&watched.lock);
    for (size_t i = 0; i < watched.count; i++)
        collect_source(watched.sources[i]);
    pthread_mutex_unlock(&watched.lock);
}

static void declare(void)
{
    static const char *const SOURCE[] = {"source", NULL};
    static const char *const SUBSCRIPTION[] = {"source", "subscription", NULL};
    static const char *const OUTCOME[] = {"source", "subscription", "outcome", NULL};
    static const char *const STATUS[] = {"source", "subscription", "status", NULL};
    static const char *const CAUSE[] = {"source", "cause", NULL};
    lag_events = metric_gauge("outbox_relay_lag_events",
        "Distance in ids from the subscription's cursor to the newest event, while anything is "
        "left to deliver or read.",
        SUBSCRIPTION);
    lag_seconds = metric_gauge("outbox_relay_lag_seconds",
        "Age of the oldest event that was read and is not settled; if there is none and reading "
        "has stopped, of the first unread event, whatever its type.",
        SUBSCRIPTION);
    parked_keys = metric_gauge(
        "outbox_relay_parked_keys", "Keys held back by a refused event.", SUBSCRIPTION);
    parked_events = metric_gauge("outbox_relay_parked_events",
        "Events in outbox.delivery: retrying, blocked behind those, dead.", STATUS);
    breaker = metric_gauge("outbox_relay_breaker_state",
        "0 closed, 1 open (endpoint down), 2 half open (on trial).", SUBSCRIPTION);
    paused = metric_gauge(
        "outbox_relay_subscription_state", "0 active, 1 paused, 2 disabled.", SUBSCRIPTION);
    leader = metric_gauge("outbox_relay_leader", "1 while this relay is the active one.", SOURCE);
    connected =
        metric_gauge("outbox_relay_connected", "1 while the source's database answers.", SOURCE);
    epoch = metric_gauge(
        "outbox_relay_epoch", "Epoch of this relay's lease; 0 without a lease.", SOURCE);
    asleep =
        metric_gauge("outbox_relay_asleep", "1 while the relay waits for a notification.", SOURCE);
    delivered =
        metric_counter("outbox_relay_events_delivered", "Events answered with 2xx.", SUBSCRIPTION);
    attempts = metric_counter("outbox_relay_requests", "Requests by outcome.", OUTCOME);
    latency = metric_histogram("outbox_relay_delivery_seconds",
        "From the call of outbox.emit() to the 2xx answer, including the time until the commit.",
        SUBSCRIPTION, METRIC_SECONDS, METRIC_SECONDS_COUNT);
    wakes = metric_counter("outbox_relay_wakes", "Wake-ups from sleep, by cause.", CAUSE);
    reads = metric_counter("outbox_relay_reads", "Reads of the outbox.", SOURCE);
    events_read = metric_counter("outbox_relay_events_read", "Events read.", SOURCE);
    elections =
        metric_counter("outbox_relay_elections", "Times this relay became the active one.", SOURCE);
    reconnects = metric_counter(
        "outbox_relay_reconnects", "Times the relay reconnected to the database.", SOURCE);
}

void metrics_page_start(struct source *const *sources, size_t count)
{
    declare();
    pthread_mutex_lock(&watched.lock);
    watched.sources = sources;
    watched.count = count;
    pthread_mutex_unlock(&watched.lock);
    metrics_on_collect(collect, NULL);
}

void metrics_page_stop(void)
{
    pthread_mutex_lock(&watched.lock);
    watched.count = 0;
    pthread_mutex_unlock(&watched.lock);
}

int metrics_page_ready(char *reason, size_t size)
{
    int ret = 0;
    double now_us = (double)clock_boot_us();
    pthread_mutex_lock(&watched.lock);
    for (size_t i = 0; i < watched.count && ret == 0; i++) {
        struct source *source = watched.sources[i];
        const struct source_metrics *m = source_metrics(source);
        double silent_us = now_us - gauge(&m->alive_us);
        if (gauge_read(&m->connected) && silent_us < (double)source_patience_us(source))
            continue;
        snprintf(reason, size, "source %s makes no progress", source_name(source));
        ret = -1;
    }
    pthread_mutex_unlock(&watched.lock);
    return ret;
}
