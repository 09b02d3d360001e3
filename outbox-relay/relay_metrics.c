/* See relay_metrics.h. */
#include "outbox-relay/relay_metrics.h"
#include "shared/base/metrics.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

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

static uint64_t get(stat_counter *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static double gauge(stat_gauge *value)
{
    return (double)atomic_load_explicit(value, memory_order_relaxed);
}

static double unix_now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (double)now.tv_sec * US_PER_S + (double)now.tv_nsec / 1000.0;
}

/* What has been counted since the last time. */
static uint64_t since(stat_counter *counter, uint64_t *reported)
{
    uint64_t value = get(counter), difference = value - *reported;
    *reported = value;
    return difference;
}

static void collect_latency(struct stats_entry *entry, const char *const *labels)
{
    uint64_t counts[STATS_BUCKETS];
    for (size_t i = 0; i < STATS_BUCKETS; i++)
        counts[i] = since(&entry->stats.latency[i], &entry->reported.latency[i]);
    uint64_t sum_us = since(&entry->stats.latency_sum_us, &entry->reported.latency_sum_us);
    metric_observe_counts(latency, labels, counts, (double)sum_us / US_PER_S);
}

static void collect_counters(
    const struct source *source, struct stats_entry *entry, const char *const *labels)
{
    static const char *const OUTCOMES[ATTEMPT_OUTCOMES] = {"delivered", "refused", "down", "gone"};
    metric_add(
        delivered, labels, (double)since(&entry->stats.delivered, &entry->reported.delivered));
    for (int i = 0; i < ATTEMPT_OUTCOMES; i++) {
        const char *const values[] = {source->name, entry->subscription, OUTCOMES[i]};
        metric_add(attempts, values,
            (double)since(&entry->stats.attempts[i], &entry->reported.attempts[i]));
    }
    collect_latency(entry, labels);
}

static void collect_parked(struct stats_entry *entry, const char *const *labels)
{
    struct {
        const char *status;
        stat_gauge *count;
    } const parked[] = {{"retrying", &entry->stats.retrying}, {"blocked", &entry->stats.blocked},
        {"dead", &entry->stats.dead}};
    for (size_t i = 0; i < ARRAY_SIZE(parked); i++) {
        const char *const values[] = {labels[0], labels[1], parked[i].status};
        if (entry->current)
            metric_set(parked_events, values, gauge(parked[i].count));
        else
            metric_remove(parked_events, values);
    }
}

static void collect_gauges(struct stats_entry *entry, const char *const *labels)
{
    collect_parked(entry, labels);
    struct metric *const gauges[] = {lag_events, lag_seconds, parked_keys, breaker, paused};
    if (!entry->current) {
        for (size_t i = 0; i < ARRAY_SIZE(gauges); i++)
            metric_remove(gauges[i], labels);
        return;
    }
    double oldest_us = gauge(&entry->stats.oldest_us);
    metric_set(lag_events, labels, gauge(&entry->stats.lag_events));
    metric_set(lag_seconds, labels, oldest_us > 0 ? (unix_now_us() - oldest_us) / US_PER_S : 0);
    metric_set(parked_keys, labels, gauge(&entry->stats.parked_keys));
    metric_set(breaker, labels, gauge(&entry->stats.breaker));
    metric_set(paused, labels, gauge(&entry->stats.state));
}

static void collect_source(struct source *source)
{
    const char *const labels[] = {source->name};
    struct source_stats *stats = &source->stats;
    metric_set(leader, labels, gauge(&stats->leader));
    metric_set(connected, labels, gauge(&stats->connected));
    metric_set(epoch, labels, gauge(&stats->epoch));
    metric_set(asleep, labels, gauge(&stats->asleep));
    const char *const notify[] = {source->name, "notify"}, *const poll[] = {source->name, "poll"};
    metric_add(wakes, notify, (double)since(&stats->wakes_notify, &source->reported.wakes_notify));
    metric_add(wakes, poll, (double)since(&stats->wakes_poll, &source->reported.wakes_poll));
    metric_add(reads, labels, (double)since(&stats->reads, &source->reported.reads));
    metric_add(
        events_read, labels, (double)since(&stats->events_read, &source->reported.events_read));
    metric_add(elections, labels, (double)since(&stats->elections, &source->reported.elections));
    metric_add(reconnects, labels, (double)since(&stats->reconnects, &source->reported.reconnects));
    pthread_mutex_lock(&source->stats_lock);
    for (struct stats_entry *entry = source->stats_list; entry; entry = entry->next) {
        const char *const values[] = {source->name, entry->subscription};
        collect_counters(source, entry, values);
        collect_gauges(entry, values);
    }
    pthread_mutex_unlock(&source->stats_lock);
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
        "Ids between the newest event and the subscription's cursor, while any are to be delivered "
        "or read.",
        SUBSCRIPTION);
    lag_seconds = metric_gauge("outbox_relay_lag_seconds",
        "Age of the oldest event that was read and is not settled; when all are and reading has "
        "stopped, of the first one that was not read, whatever its type.",
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
    epoch = metric_gauge("outbox_relay_epoch", "Epoch of this relay's lease; 0 without.", SOURCE);
    asleep =
        metric_gauge("outbox_relay_asleep", "1 while the relay waits for a notification.", SOURCE);
    delivered =
        metric_counter("outbox_relay_events_delivered", "Events answered with 2xx.", SUBSCRIPTION);
    attempts = metric_counter("outbox_relay_requests", "Requests by outcome.", OUTCOME);
    latency = metric_histogram("outbox_relay_delivery_seconds",
        "From the call of outbox.emit() to the 2xx answer: the time until the commit is in it.",
        SUBSCRIPTION, METRIC_SECONDS, METRIC_SECONDS_COUNT);
    wakes = metric_counter("outbox_relay_wakes", "Wake-ups from sleep, by cause.", CAUSE);
    reads = metric_counter("outbox_relay_reads", "Reads of the outbox.", SOURCE);
    events_read = metric_counter("outbox_relay_events_read", "Events read.", SOURCE);
    elections =
        metric_counter("outbox_relay_elections", "Times this relay became the active one.", SOURCE);
    reconnects =
        metric_counter("outbox_relay_reconnects", "Times the database was connected anew.", SOURCE);
}

void relay_metrics_start(struct source *const *sources, size_t count)
{
    declare();
    pthread_mutex_lock(&watched.lock);
    watched.sources = sources;
    watched.count = count;
    pthread_mutex_unlock(&watched.lock);
    metrics_on_collect(collect, NULL);
}

void relay_metrics_stop(void)
{
    pthread_mutex_lock(&watched.lock);
    watched.count = 0;
    pthread_mutex_unlock(&watched.lock);
}

/* A source shows life at each beat of its lease, three times in its time to live. */
static double stalled_us(const struct source *source)
{
    return (double)source->settings->lease_ttl_ms * 1000.0;
}

int relay_ready(char *reason, size_t size)
{
    int ret = 0;
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    double now_us = (double)now.tv_sec * US_PER_S + (double)now.tv_nsec / 1000.0;
    pthread_mutex_lock(&watched.lock);
    for (size_t i = 0; i < watched.count && ret == 0; i++) {
        struct source *source = watched.sources[i];
        if (gauge(&source->stats.connected) > 0 &&
            now_us - gauge(&source->stats.alive_us) < stalled_us(source))
            continue;
        snprintf(reason, size, "source %s makes no progress", source->name);
        ret = -1;
    }
    pthread_mutex_unlock(&watched.lock);
    return ret;
}
