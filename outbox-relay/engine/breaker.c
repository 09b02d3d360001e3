/* See breaker.h. One function changes the state. */
#include "outbox-relay/engine/breaker.h"
#include "outbox-relay/base/backoff.h"
#include "outbox-relay/engine/endpoint_store.h"
#include "shared/base/log.h"

static void set_state(struct subscription *s, enum breaker_state state)
{
    static const char *const NAMES[] = {"closed", "open", "half open"};
    if (s->breaker.state != state)
        log_debug("breaker", LOG_TEXT("source", s->source->name), LOG_TEXT("subscription", s->name),
            LOG_TEXT("state", NAMES[state]), LOG_TEXT("before", NAMES[s->breaker.state]));
    s->breaker.state = state;
    gauge_set(&s->metrics->breaker, state);
}

/* Time for a probe: the next lane that has work may send one request. */
static void on_timer(void *context)
{
    struct subscription *s = context;
    set_state(s, BREAKER_HALF_OPEN);
    source_wants_turn(s->source);
}

void breaker_init(struct subscription *s)
{
    s->breaker.timer = (struct timer){.fire = on_timer, .context = s};
}

void breaker_stop(struct subscription *s)
{
    loop_timer_stop(s->source->loop, &s->breaker.timer);
}

void breaker_restore(struct subscription *s, bool was_open)
{
    s->breaker.failures = 0;
    set_state(s, was_open ? BREAKER_HALF_OPEN : BREAKER_CLOSED);
}

bool breaker_lets_through(const struct subscription *s)
{
    return s->breaker.state == BREAKER_CLOSED ||
           (s->breaker.state == BREAKER_HALF_OPEN && s->lanes.in_flight == 0);
}

void breaker_success(struct subscription *s)
{
    /* While it is open, answers to requests from before are no news. */
    if (s->breaker.state != BREAKER_HALF_OPEN)
        return;
    log_info("endpoint is back", LOG_TEXT("source", s->source->name),
        LOG_TEXT("subscription", s->name), LOG_INT("failures", s->breaker.failures));
    s->breaker.failures = 0;
    set_state(s, BREAKER_CLOSED);
    endpoint_store_breaker(s, NULL);
    source_wants_turn(s->source); /* which kicks the lanes */
}

void breaker_probe_now(struct subscription *s)
{
    if (s->breaker.state == BREAKER_OPEN)
        loop_timer_start(s->source->loop, &s->breaker.timer, 0);
}

void breaker_failure(struct subscription *s, const char *error, int64_t retry_after_s)
{
    const struct relay_settings *settings = s->source->settings;
    struct loop *loop = s->source->loop;
    if (s->breaker.state != BREAKER_OPEN)
        s->breaker.failures++;
    int64_t wait_ms = probe_wait_ms(settings->breaker_base_ms, settings->breaker_max_ms,
        s->breaker.failures, retry_after_s, source_random(s->source));
    /* Those that were under way when it opened may ask for a longer wait, never end one. */
    if (s->breaker.state == BREAKER_OPEN &&
        (retry_after_s <= 0 || s->breaker.timer.due_us >= loop_now(loop) + wait_ms * 1000))
        return;
    if (s->breaker.failures == 1 && s->breaker.state != BREAKER_OPEN)
        log_warn("endpoint is down", LOG_TEXT("source", s->source->name),
            LOG_TEXT("subscription", s->name), LOG_TEXT("error", error),
            LOG_INT("retry_in_ms", wait_ms));
    set_state(s, BREAKER_OPEN);
    loop_timer_start(loop, &s->breaker.timer, wait_ms * 1000);
    endpoint_store_breaker(s, error);
}
