/* See wake.h. */
#include "outbox-relay/engine/wake.h"
#include "outbox-relay/engine/channel.h"
#include "outbox-relay/engine/statements.h"
#include "shared/base/log.h"
#include "shared/db/result.h"

#define US_PER_MS INT64_C(1000)
/* Reads that find nothing before the relay tries to sleep: a busy system is spared the
 * notifications. */
#define IDLE_READS 2
#define IDLE_WAIT_US INT64_C(1000)
#define LONGEST_WAIT_US INT64_C(25000) /* while an emitter is in flight */
/* While every read brings a few events, the relay waits before the next one as long as the read
 * took, then twice as long, at most so many times: a busy system pays for few large reads, and a
 * quiet one does not wait. */
#define PACE_MOST 9
#define LONGEST_PACE_US INT64_C(5000)

static void set_state(struct source *source, enum wake_state state)
{
    static const char *const NAMES[] = {"awake", "locking", "final read", "asleep"};
    if (source->wake.state != state)
        log_debug("wake-up", LOG_TEXT("source", source->name), LOG_TEXT("state", NAMES[state]),
            LOG_TEXT("before", NAMES[source->wake.state]));
    source->wake.state = state;
    gauge_set(&source->metrics.asleep, state == WAKE_ASLEEP);
}

static void on_timer(void *context)
{
    struct source *source = context;
    if (source->wake.state == WAKE_ASLEEP) {
        set_state(source, WAKE_FINAL); /* the lock is held: as before a sleep */
        counter_add(&source->metrics.wakes_poll, 1);
    }
    source_wants_read(source);
}

static void wait_us(struct source *source, int64_t delay_us)
{
    loop_timer_start(source->loop, &source->wake.timer, delay_us);
}

static void fall_asleep(struct source *source)
{
    set_state(source, WAKE_ASLEEP);
    wait_us(source, source->settings->safety_poll_ms * US_PER_MS);
}

static void wake_up(struct source *source)
{
    pg_send(source->session, &UNLOCK_SLEEP, NULL, NULL, NULL);
    pg_commit(source->session, source_unit_vital, source);
    set_state(source, WAKE_AWAKE);
}

static void on_sleep_lock(void *context, PGresult *take_result)
{
    AUTO_RESULT PGresult *result = take_result;
    struct source *source = context;
    struct wake *wake = &source->wake;
    if (PQresultStatus(result) != PGRES_TUPLES_OK || wake->state != WAKE_LOCKING)
        return;
    if (*PQgetvalue(result, 0, 0) == 't') {
        wake->refusals = 0;
        set_state(source, WAKE_FINAL);
        source_wants_read(source);
        return;
    }
    /* An emitter is in flight: it has seen a relay that is awake, so look again soon. */
    int64_t wait = IDLE_WAIT_US << (wake->refusals < 5 ? wake->refusals++ : 5);
    set_state(source, WAKE_AWAKE);
    wait_us(source, wait < LONGEST_WAIT_US ? wait : LONGEST_WAIT_US);
}

/* Without the lock nobody would wake it: it stays awake, and reads less and less often until it can
 * be had. */
static void on_sleep_lock_done(void *context, const char *sqlstate)
{
    struct source *source = context;
    struct wake *wake = &source->wake;
    if (!sqlstate) {
        wake->failures = 0;
        return;
    }
    source_unit_tell(source, "try_sleep_lock", sqlstate);
    if (wake->state != WAKE_LOCKING)
        return;
    int64_t longest = source->settings->safety_poll_ms * US_PER_MS;
    int64_t wait = IDLE_WAIT_US << (wake->failures < 20 ? wake->failures++ : 20);
    set_state(source, WAKE_AWAKE);
    wait_us(source, wait < longest ? wait : longest);
}

static void try_to_sleep(struct source *source)
{
    set_state(source, WAKE_LOCKING);
    pg_send(source->session, &TRY_SLEEP_LOCK, NULL, on_sleep_lock, source);
    pg_commit(source->session, on_sleep_lock_done, source);
}

static void after_empty_tick(struct source *source)
{
    struct wake *wake = &source->wake;
    if (source->polling || !channel_is_proved(source))
        wait_us(source, source->settings->poll_interval_ms * US_PER_MS);
    else if (wake->state == WAKE_FINAL && wake->tick_locked)
        fall_asleep(source);
    else if (wake->state == WAKE_FINAL)
        source_wants_read(source); /* it began before the lock was there */
    else if (wake->state == WAKE_AWAKE && ++wake->idle_reads < IDLE_READS)
        wait_us(source, IDLE_WAIT_US);
    else if (wake->state == WAKE_AWAKE)
        try_to_sleep(source);
}

void wake_before_tick(struct source *source)
{
    struct wake *wake = &source->wake;
    wake->tick_locked = wake->state == WAKE_FINAL || wake->state == WAKE_ASLEEP;
}

static int64_t next_pace_us(struct wake *wake, int64_t took_us)
{
    if (wake->pace < PACE_MOST)
        wake->pace++;
    return took_us < LONGEST_PACE_US / wake->pace ? took_us * wake->pace : LONGEST_PACE_US;
}

void wake_after_tick(struct source *source, enum tick_outcome outcome, int64_t took_us)
{
    struct wake *wake = &source->wake;
    if (outcome == TICK_EMPTY) {
        wake->pace = 0;
        after_empty_tick(source);
        return;
    }
    wake->idle_reads = 0;
    wake->refusals = 0;
    if (wake->state == WAKE_FINAL || wake->state == WAKE_ASLEEP) {
        loop_timer_stop(source->loop, &wake->timer);
        wake_up(source);
    }
    if (outcome == TICK_MANY)
        source_wants_read(source);
    else
        wait_us(source, next_pace_us(wake, took_us));
}

void wake_notified(struct source *source)
{
    struct wake *wake = &source->wake;
    counter_add(&source->metrics.wakes_notify, 1);
    if (wake->state != WAKE_ASLEEP && wake->state != WAKE_FINAL)
        return; /* on its way to a read already */
    wake->idle_reads = 0;
    loop_timer_stop(source->loop, &wake->timer);
    wake_up(source);
    source_wants_read(source);
}

void wake_start(struct source *source)
{
    source->wake = (struct wake){.timer = {.fire = on_timer, .context = source}};
    set_state(source, WAKE_AWAKE);
    source_wants_read(source);
}

void wake_stop(struct source *source)
{
    loop_timer_stop(source->loop, &source->wake.timer);
    set_state(source, WAKE_AWAKE);
}
