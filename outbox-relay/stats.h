/* Figures that a source's thread counts and the metrics page reads. Each is written by one thread
 * only, so plain loads and stores of atomics do. */
#ifndef RELAY_STATS_H
#define RELAY_STATS_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define STATS_BUCKETS 15 /* those of METRIC_SECONDS, and +Inf */

typedef _Atomic uint64_t stat_counter;
typedef _Atomic int64_t stat_gauge;

static inline void stat_add(stat_counter *counter, uint64_t amount)
{
    uint64_t value = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, value + amount, memory_order_relaxed);
}

static inline void stat_set(stat_gauge *gauge, int64_t value)
{
    atomic_store_explicit(gauge, value, memory_order_relaxed);
}

enum attempt_outcome {
    ATTEMPT_DELIVERED,
    ATTEMPT_REFUSED,
    ATTEMPT_DOWN,
    ATTEMPT_GONE,
    ATTEMPT_OUTCOMES
};

/* Of one subscription. */
struct stats {
    stat_counter delivered;                  /* events */
    stat_counter attempts[ATTEMPT_OUTCOMES]; /* requests */
    stat_counter latency[STATS_BUCKETS];     /* events, from the call of emit to 2xx */
    stat_counter latency_sum_us;
    stat_gauge lag_events;
    stat_gauge oldest_us; /* Unix time of the oldest event that is not settled; 0: none */
    stat_gauge parked_keys, retrying, blocked, dead;
    stat_gauge breaker; /* enum breaker */
    stat_gauge state;   /* 0 active, 1 paused, 2 disabled */
};

/* Counts one delivered event. */
void stats_delivered(struct stats *stats, int64_t latency_us);

/* Of one source. */
struct source_stats {
    stat_counter wakes_notify, wakes_poll, reads, events_read, elections, reconnects;
    stat_gauge leader, epoch, connected, asleep;
    stat_gauge alive_us; /* CLOCK_BOOTTIME of the last proof that the source makes progress */
};

#endif
