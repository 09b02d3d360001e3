/* See progress.h. */
#include "outbox-relay/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#define US_PER_S 1000000.0
#define CLEAR_LINE "\r\033[K"

static int64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* Deliveries and lag over all subscriptions of all sources this relay is active for. */
static void add_up(
    struct source *const *sources, size_t count, uint64_t *ret_delivered, int64_t *ret_lag)
{
    uint64_t delivered = 0;
    int64_t lag = 0;
    for (size_t i = 0; i < count; i++) {
        struct source *source = sources[i];
        pthread_mutex_lock(&source->stats_lock);
        for (struct stats_entry *entry = source->stats_list; entry; entry = entry->next) {
            delivered += atomic_load_explicit(&entry->stats.delivered, memory_order_relaxed);
            if (entry->current)
                lag += atomic_load_explicit(&entry->stats.lag_events, memory_order_relaxed);
        }
        pthread_mutex_unlock(&source->stats_lock);
    }
    *ret_delivered = delivered;
    *ret_lag = lag;
}

static void begin(struct progress *progress, uint64_t delivered, int64_t now)
{
    progress->began_us = progress->shown_us = now;
    progress->began_delivered = progress->delivered = delivered;
}

void progress_show(
    struct progress *progress, FILE *out, struct source *const *sources, size_t count)
{
    uint64_t delivered;
    int64_t lag, now = now_us();
    add_up(sources, count, &delivered, &lag);

    if (!progress->began_us) {
        if (lag > 0)
            begin(progress, delivered, now);
        return;
    }
    double elapsed_s = (double)(now - progress->shown_us) / US_PER_S;
    double rate = elapsed_s > 0 ? (double)(delivered - progress->delivered) / elapsed_s : 0;
    if (lag > 0) {
        fprintf(out, CLEAR_LINE "about %" PRId64 " events to go, %.0f/s", lag, rate);
    } else {
        uint64_t drained = delivered - progress->began_delivered;
        if (drained > 0)
            fprintf(out, CLEAR_LINE "%" PRIu64 " events delivered in %.1f s\n", drained,
                (double)(now - progress->began_us) / US_PER_S);
        progress->began_us = 0;
    }
    fflush(out);
    progress->delivered = delivered;
    progress->shown_us = now;
}
