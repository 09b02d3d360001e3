/* See shutdown.h. */
#include "outbox-relay/engine/shutdown.h"
#include "outbox-relay/engine/cursor_store.h"
#include "outbox-relay/engine/lane.h"
#include "outbox-relay/engine/lease.h"
#include "outbox-relay/engine/parking.h"

#define US_PER_MS INT64_C(1000)
#define LAST_WRITES_US INT64_C(1000000) /* when the time for a graceful stop is over */

static bool anything_under_way(const struct source *source)
{
    for (const struct subscription *s = source->subscriptions; s; s = s->next)
        if (!lanes_finished(s) || s->writes > 0)
            return true;
    return source->cursor_store.in_flight;
}

static void on_resigned(void *context, const char *sqlstate)
{
    (void)sqlstate;
    ((struct source *)context)->shutdown.resigned = true;
}

static void on_stop_timer(void *context)
{
    struct source *source = context;
    if (source->shutdown.overdue) {
        source->shutdown.given_up = true;
        return;
    }
    source->shutdown.overdue = true;
    for (struct subscription *s = source->subscriptions; s; s = s->next)
        lanes_break_off(s);
    loop_timer_start(source->loop, &source->shutdown.timer, LAST_WRITES_US);
}

void shutdown_begin(struct source *source)
{
    bool active = source->state == SOURCE_ACTIVE;
    loop_timer_start(
        source->loop, &source->shutdown.timer, source->settings->shutdown_timeout_ms * US_PER_MS);
    source_set_state(source, SOURCE_STOPPING);
    if (!active)
        source->shutdown.resigned = true; /* nothing is held */
}

bool shutdown_turn(struct source *source)
{
    if (source->shutdown.resigned || source->shutdown.given_up || source->failure.reason)
        return true;
    for (struct subscription *s = source->subscriptions; s; s = s->next) {
        lanes_kick(s);
        parking_write_behind(s);
    }
    if (anything_under_way(source) || source->shutdown.resigning) {
        cursor_store_turn(source);
        return false;
    }
    cursor_store_write(source);
    if (source->cursor_store.in_flight)
        return false;
    source->shutdown.resigning = true;
    lease_resign(source, on_resigned);
    return false;
}

void shutdown_init(struct source *source)
{
    source->shutdown.timer = (struct timer){.fire = on_stop_timer, .context = source};
}
