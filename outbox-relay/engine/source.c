/* See source.h. */
#include "outbox-relay/engine/source.h"
#include "outbox-relay/base/backoff.h"
#include "outbox-relay/base/buffer.h"
#include "outbox-relay/engine/cursor_store.h"
#include "outbox-relay/engine/lag.h"
#include "outbox-relay/engine/lane.h"
#include "outbox-relay/engine/lease.h"
#include "outbox-relay/engine/maintenance.h"
#include "outbox-relay/engine/parked_count.h"
#include "outbox-relay/engine/parking.h"
#include "outbox-relay/engine/reader.h"
#include "outbox-relay/engine/reload.h"
#include "outbox-relay/engine/statements.h"
#include "outbox-relay/engine/subscription.h"
#include "outbox-relay/engine/wake.h"
#include "outbox-relay/event/cloudevent.h"
#include "shared/base/log.h"
#include "shared/db/result.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define US_PER_MS INT64_C(1000)
#define US_PER_S INT64_C(1000000)
#define REMIND_US (600 * US_PER_S)
#define LAST_WRITES_US US_PER_S /* when the time for a graceful stop is over */
#define RECONNECT_BASE_MS 100
#define RECONNECT_MAX_MS 10000

/* State ------------------------------------------------------------------------------------------
 */

static const char *state_name(enum source_state state)
{
    static const char *const NAMES[] = {
        [SOURCE_CONNECTING] = "connecting",
        [SOURCE_STANDBY] = "standby",
        [SOURCE_LOADING] = "loading",
        [SOURCE_ACTIVE] = "active",
        [SOURCE_STOPPING] = "stopping",
        [SOURCE_STOPPED] = "stopped",
    };
    return NAMES[state];
}

static void set_state(struct source *source, enum source_state state)
{
    if (source->state == state)
        return;
    /* On the way to the others; while that fails again and again the failure is told. */
    bool passing = state == SOURCE_CONNECTING || state == SOURCE_LOADING;
    LOG_AT(passing ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO, "source", LOG_TEXT("source", source->name),
        LOG_TEXT("state", state_name(state)), LOG_TEXT("before", state_name(source->state)),
        LOG_INT("epoch", source->epoch));
    source->state = state;
    gauge_set(&source->metrics.leader, state == SOURCE_ACTIVE || state == SOURCE_STOPPING);
    gauge_set(&source->metrics.epoch, source->epoch);
    gauge_set(&source->metrics.connected,
        state == SOURCE_STANDBY || state == SOURCE_ACTIVE || state == SOURCE_STOPPING);
}

/* Drops everything that is in memory: the database knows all of it. Connections go first, so that
 * the answers still to come find their subscriptions alive. */
static void drop_all(struct source *source)
{
    lease_close(source);
    wake_stop(source);
    cursor_store_stop(source);
    maintenance_stop(source);
    parked_count_stop(source);
    lag_stop(source);
    readers_free(source);
    while (source->subscriptions) {
        struct subscription *s = source->subscriptions;
        source->subscriptions = s->next;
        s->reader = NULL;
        metrics_gone(&source->metrics, s->name);
        subscription_free(s);
    }
    reload_stop(source);
}

static void on_reconnect(void *context)
{
    struct source *source = context;
    counter_add(&source->metrics.reconnects, 1);
    lease_open(source);
}

/* What an operator may do about it; NULL: nothing but wait. */
static const char *advice(const char *reason)
{
    if (strstr(reason, "outbox") && strstr(reason, "does not exist"))
        return "run outbox-relay init for this database";
    if (strstr(reason, "permission denied"))
        return "grant outbox_relay to the role of this connection";
    return NULL;
}

/* Once, and again from time to time while nothing else is wrong: an outage of hours must not hide
 * everything else in the log. */
static void tell_failure(struct source *source)
{
    int64_t now = loop_now(source->loop);
    bool again = source->told && strcmp(source->told, source->failure) == 0;
    if (again && now - source->told_us < REMIND_US)
        return;
    const char *hint = advice(source->failure);
    log_warn("source begins anew", LOG_TEXT("source", source->name),
        LOG_TEXT("reason", source->failure), LOG_INT("failures", source->failures + 1),
        LOG_TEXT(hint ? "hint" : "next", hint ? hint : "it is tried again until it works"));
    free(source->told);
    source->told = strdup(source->failure); /* NULL is told again */
    source->told_us = now;
}

static void forget_told(struct source *source)
{
    free(source->told);
    source->told = NULL;
}

static void begin_anew(struct source *source)
{
    tell_failure(source);
    drop_all(source);
    free(source->failure); /* what came up meanwhile is a consequence */
    source->failure = NULL;
    set_state(source, SOURCE_CONNECTING);
    source->failures++;
    int64_t wait_ms = probe_wait_ms(
        RECONNECT_BASE_MS, RECONNECT_MAX_MS, source->failures, -1, source_random(source));
    loop_timer_start(source->loop, &source->reconnect_timer, wait_ms * US_PER_MS);
}

/* Events of the parts
 * ------------------------------------------------------------------------------
 */

static void on_standby(struct source *source)
{
    source->failures = 0;
    forget_told(source);
    set_state(source, SOURCE_STANDBY);
}

static void on_work_opened(struct source *source)
{
    reload_start(source);
}

static void on_elected(struct source *source)
{
    counter_add(&source->metrics.elections, 1);
    lease_hold(source);
    set_state(source, SOURCE_LOADING);
    if (source->polling)
        on_work_opened(source);
    else if (pg_open(source->work) < 0)
        source_fail(source, "no thread or memory to connect");
}

static void on_loaded(struct source *source)
{
    if (source->failure || source->state != SOURCE_LOADING)
        return;
    set_state(source, SOURCE_ACTIVE);
    forget_told(source);
    maintenance_start(source);
    reload_poll(source);
    wake_start(source);
}

static const struct source_events EVENTS = {
    .standby = on_standby,
    .elected = on_elected,
    .work_opened = on_work_opened,
    .loaded = on_loaded,
};

/* Stop -------------------------------------------------------------------------------------------
 */

static bool anything_under_way(const struct source *source)
{
    for (const struct subscription *s = source->subscriptions; s; s = s->next)
        if (!lanes_finished(s) || s->writes > 0)
            return true;
    return source->cursors_in_flight;
}

static void finish(struct source *source)
{
    drop_all(source);
    set_state(source, SOURCE_STOPPED);
    loop_stop(source->loop);
}

static void on_resigned(void *context, const char *sqlstate)
{
    (void)sqlstate;
    ((struct source *)context)->resigned = true;
}

static void on_stop_timer(void *context)
{
    struct source *source = context;
    if (source->stop_overdue) {
        source->given_up = true;
        return;
    }
    source->stop_overdue = true;
    for (struct subscription *s = source->subscriptions; s; s = s->next)
        lanes_break_off(s);
    loop_timer_start(source->loop, &source->stop_timer, LAST_WRITES_US);
}

static void begin_stop(struct source *source)
{
    bool active = source->state == SOURCE_ACTIVE;
    loop_timer_stop(source->loop, &source->reconnect_timer);
    loop_timer_start(
        source->loop, &source->stop_timer, source->settings->shutdown_timeout_ms * US_PER_MS);
    set_state(source, SOURCE_STOPPING);
    if (!active)
        source->resigned = true; /* nothing is held */
}

/* In order: the requests in flight end or are broken off, their outcomes and the cursors are
 * written, the lease is given back. */
static void turn_stopping(struct source *source)
{
    if (source->resigned || source->given_up || source->failure) {
        finish(source);
        return;
    }
    for (struct subscription *s = source->subscriptions; s; s = s->next) {
        lanes_kick(s);
        parking_write_behind(s);
    }
    if (anything_under_way(source) || source->resigning) {
        cursor_store_turn(source);
        return;
    }
    cursor_store_write(source);
    if (source->cursors_in_flight)
        return;
    source->resigning = true;
    lease_resign(source, on_resigned);
}

/* Turn -------------------------------------------------------------------------------------------
 */

static void turn_active(struct source *source)
{
    reload_turn(source);
    /* First, so that the server reads while requests are built here. */
    readers_tick(source);
    bool kick = source->kick;
    source->kick = false;
    for (struct subscription *s = source->subscriptions; s; s = s->next) {
        if (kick)
            lanes_kick(s);
        parking_write_behind(s);
        if (s->retry_due)
            parking_load(s);
        parking_tell_full(s);
        lag_update(s);
    }
    cursor_store_turn(source);
    lag_watch(source);
}

static void turn(void *context)
{
    struct source *source = context;
    gauge_set(&source->metrics.alive_us, loop_now(source->loop));
    if (source->stop_wanted && source->state < SOURCE_STOPPING)
        begin_stop(source);
    if (source->state == SOURCE_STOPPING) {
        turn_stopping(source);
        return;
    }
    if (source->failure)
        begin_anew(source);
    if (source->state == SOURCE_ACTIVE)
        turn_active(source);
    /* What came up in this turn is not left until something happens. */
    if (source->failure || (source->kick && source->state == SOURCE_ACTIVE))
        loop_poke(source->loop);
}

/* Life -------------------------------------------------------------------------------------------
 */

static int quote_source(const char *name, char **ret_json)
{
    struct buffer buffer = {0}, path = {0};
    BUFFER_ADD(&path, "/");
    buffer_add(&path, name, strlen(name));
    json_string_add(&buffer, (struct text){path.data, (uint32_t)path.length});
    buffer_add(&buffer, "", 1);
    buffer_release(&path);
    if (buffer.failed) {
        buffer_release(&buffer);
        return -ENOMEM;
    }
    *ret_json = buffer.data;
    return 0;
}

static void init_timers(struct source *source)
{
    source->reconnect_timer = (struct timer){.fire = on_reconnect, .context = source};
    source->stop_timer = (struct timer){.fire = on_stop_timer, .context = source};
    cursor_store_init(source);
    maintenance_init(source);
    reload_init(source);
}

static void source_free(struct source *source)
{
    if (!source)
        return;
    lease_release(source);
    transport_free(source->transport);
    loop_free(source->loop);
    metrics_release(&source->metrics);
    free(source->name);
    free(source->conninfo);
    free(source->source_json);
    free(source->failure);
    free(source->told);
    free(source);
}

static int init_parts(struct source *source)
{
    int ret = loop_new(&source->loop);
    if (ret < 0)
        return ret;
    ret = transport_new(source->loop,
        &(struct transport_settings){
            .user_agent = "outbox-relay/" VERSION,
            .proxy = source->settings->proxy,
            .ca_file = source->settings->ca_file,
            .connect_timeout_ms = source->settings->connect_timeout_ms,
        },
        &source->transport);
    return ret < 0 ? ret : lease_init(source);
}

int source_new(const char *name, const char *conninfo, const struct relay_settings *settings,
    struct source **ret_source)
{
    struct source *source = calloc(1, sizeof(*source));
    if (!source)
        return -ENOMEM;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    source->random =
        (uint64_t)now.tv_nsec ^ (uint64_t)now.tv_sec << 30 ^ (uint64_t)(uintptr_t)source;
    source->settings = settings;
    source->events = &EVENTS;
    source->polling = strcmp(settings->wake, "poll") == 0;
    metrics_init(&source->metrics);
    parked_count_init(source);
    lag_init(source);
    init_timers(source);
    source->name = strdup(name);
    source->conninfo = strdup(conninfo);
    int ret = source->name && source->conninfo ? quote_source(name, &source->source_json) : -ENOMEM;
    if (ret == 0)
        ret = init_parts(source);
    if (ret < 0) {
        source_free(source);
        return ret;
    }
    *ret_source = source;
    return 0;
}

static void *thread_main(void *argument)
{
    struct source *source = argument;
    loop_after(source->loop, turn, source);
    lease_open(source);
    int ret = loop_run(source->loop);
    if (ret < 0)
        log_error("event loop failed", LOG_TEXT("source", source->name), LOG_INT("errno", -ret));
    return NULL;
}

int source_start(struct source *source)
{
    return pthread_create(&source->thread, NULL, thread_main, source) == 0 ? 0 : -EAGAIN;
}

const char *source_name(const struct source *source)
{
    return source->name;
}

struct source_metrics *source_metrics(struct source *source)
{
    return &source->metrics;
}

/* It shows life at each beat of its lease, three times in the time to live. */
int64_t source_patience_us(const struct source *source)
{
    return source->settings->lease_ttl_ms * US_PER_MS;
}

void source_stop(struct source *source)
{
    source->stop_wanted = true;
    loop_poke(source->loop);
}

void source_join(struct source *source, bool started)
{
    if (started)
        pthread_join(source->thread, NULL);
    source_free(source);
}
