/* See drain_display.h. */
#include "outbox-relay/cli/drain_display.h"
#include "outbox-relay/engine/metrics.h"
#include "shared/base/clock.h"

#include <inttypes.h>
#include <stdio.h>

#define US_PER_S 1000000.0
#define CLEAR_LINE "\r\033[K"

/* Deliveries and lag over all subscriptions of all sources this relay is active for. */
static void add_up(
    struct source *const *sources, size_t count, uint64_t *ret_delivered, int64_t *ret_lag)
{
    uint64_t delivered = 0;
    int64_t lag = 0;
    for (size_t i = 0; i < count; i++) {
        struct source_metrics *m = source_metrics(sources[i]);
        pthread_mutex_lock(&m->lock);
        for (const struct subscription_metrics *each = m->subscriptions; each; each = each->next) {
            delivered += counter_read(&each->delivered);
            if (each->current)
                lag += gauge_read(&each->lag_events);
        }
        pthread_mutex_unlock(&m->lock);
    }
    *ret_delivered = delivered;
    *ret_lag = lag;
}

static void begin(struct drain_display *display, uint64_t delivered, int64_t now)
{
    display->began_us = display->shown_us = now;
    display->began_delivered = display->delivered = delivered;
}

void drain_display_show(
    struct drain_display *display, FILE *out, struct source *const *sources, size_t count)
{
    uint64_t delivered;
    int64_t lag, now = clock_us();
    add_up(sources, count, &delivered, &lag);

    if (!display->began_us) {
        if (lag > 0)
            begin(display, delivered, now);
        return;
    }
    double elapsed_s = (double)(now - display->shown_us) / US_PER_S;
    double rate = elapsed_s > 0 ? (double)(delivered - display->delivered) / elapsed_s : 0;
    if (lag > 0) {
        fprintf(out, CLEAR_LINE "about %" PRId64 " events to go, %.0f/s", lag, rate);
    } else {
        uint64_t drained = delivered - display->began_delivered;
        if (drained > 0)
            fprintf(out, CLEAR_LINE "%" PRIu64 " events delivered in %.1f s\n", drained,
                (double)(now - display->began_us) / US_PER_S);
        display->began_us = 0;
    }
    fflush(out);
    display->delivered = delivered;
    display->shown_us = now;
}
