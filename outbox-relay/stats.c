/* See stats.h. */
#include "outbox-relay/stats.h"
#include "shared/base/metrics.h"

void stats_delivered(struct stats *stats, int64_t latency_us)
{
    size_t bucket = 0;
    double seconds = (double)latency_us / 1e6;
    while (bucket < METRIC_SECONDS_COUNT && seconds > METRIC_SECONDS[bucket])
        bucket++;
    if (bucket >= STATS_BUCKETS)
        bucket = STATS_BUCKETS - 1;
    stat_add(&stats->latency[bucket], 1);
    stat_add(&stats->latency_sum_us, latency_us > 0 ? (uint64_t)latency_us : 0);
    stat_add(&stats->delivered, 1);
}
