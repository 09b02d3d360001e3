/* What a source's thread counts and the metrics page shows. Each value is written by one thread
 * only, so plain loads and stores of atomics do. The records outlive subscriptions and reconnects,
 * so that counters only grow. */
#ifndef RELAY_METRICS_H
#define RELAY_METRICS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LATENCY_BUCKETS 15 /* those of METRIC_SECONDS, and +Inf */

typedef _Atomic uint64_t relay_counter;
typedef _Atomic int64_t relay_gauge;

static inline void counter_add(relay_counter *counter, uint64_t amount)
{
    uint64_t value = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, value + amount, memory_order_relaxed);
}

static inline uint64_t counter_read(const relay_counter *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static inline void gauge_set(relay_gauge *gauge, int64_t value)
{
    atomic_store_explicit(gauge, value, memory_order_relaxed);
}

static inline int64_t gauge_read(const relay_gauge *gauge)
{
    return atomic_load_explicit(gauge, memory_order_relaxed);
}

enum attempt_outcome {
    ATTEMPT_DELIVERED,
    ATTEMPT_REFUSED,
    ATTEMPT_DOWN,
    ATTEMPT_GONE,
    ATTEMPT_OUTCOMES
};

struct subscription_metrics {
    struct subscription_metrics *next;
    char *name;
    bool current; /* the subscription exists and this relay is active for it */

    relay_counter delivered;                  /* events */
    relay_counter attempts[ATTEMPT_OUTCOMES]; /* requests */
    relay_counter latency[LATENCY_BUCKETS];   /* events, from the call of emit to 2xx */
    relay_counter latency_sum_us;

    relay_gauge lag_events;
    relay_gauge oldest_us; /* Unix time of the oldest event that is not settled; 0: none */
    relay_gauge parked_keys, retrying, blocked, dead;
    relay_gauge breaker; /* enum breaker_state */
    relay_gauge state;   /* enum subscription_state */

    struct {
        uint64_t delivered, attempts[ATTEMPT_OUTCOMES], latency[LATENCY_BUCKETS], latency_sum_us;
    } reported; /* by the metrics page so far */
};

struct source_metrics {
    relay_counter wakes_notify, wakes_poll, reads, events_read, elections, reconnects;
    relay_gauge leader, epoch, connected, asleep;
    relay_gauge alive_us; /* CLOCK_BOOTTIME of the last proof that the source makes progress */

    struct {
        uint64_t wakes_notify, wakes_poll, reads, events_read, elections, reconnects;
    } reported; /* by the metrics page so far */

    pthread_mutex_t lock; /* held to walk the list from another thread, and to change it */
    struct subscription_metrics *subscriptions;
};

void metrics_init(struct source_metrics *metrics);
void metrics_release(struct source_metrics *metrics);

/* Those of a subscription that exists from now on. NULL: no memory. Owned by `metrics`. */
struct subscription_metrics *metrics_of(struct source_metrics *metrics, const char *subscription);
/* The subscription is there no more: its gauges vanish, its counters stay. */
void metrics_gone(struct source_metrics *metrics, const char *subscription);
/* Those of a subscription that existed once, or NULL. For the source's thread. */
struct subscription_metrics *metrics_find(
    const struct source_metrics *metrics, const char *subscription);

/* Counts one delivered event. */
void metrics_delivered(struct subscription_metrics *metrics, int64_t latency_us);

#endif
