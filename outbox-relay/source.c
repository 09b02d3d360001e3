/* See source.h. */
#include "outbox-relay/source.h"
#include "outbox-relay/allow.h"
#include "outbox-relay/backoff.h"
#include "outbox-relay/cloudevent.h"
#include "outbox-relay/configuration.h"
#include "outbox-relay/figures.h"
#include "outbox-relay/lane.h"
#include "outbox-relay/maintain.h"
#include "outbox-relay/parking.h"
#include "outbox-relay/reader.h"
#include "outbox-relay/session.h"
#include "outbox-relay/settle.h"
#include "outbox-relay/statements.h"
#include "outbox-relay/wake.h"
#include "shared/base/log.h"
#include "shared/db/result.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define US_PER_MS INT64_C(1000)
#define US_PER_S INT64_C(1000000)
#define CURSOR_EVERY_US (200 * US_PER_MS)
#define CONFIG_POLL_US (5 * US_PER_S) /* poll mode has no notifications */
#define REMIND_US (600 * US_PER_S)
#define LAST_WRITES_US US_PER_S /* when the time for a graceful stop is over */
#define RECONNECT_BASE_MS 100
#define RECONNECT_MAX_MS 10000
#define SMALLEST_SHARE ((size_t)256 * 1024)

/* State ------------------------------------------------------------------------------------------
 */

const char *source_state_name(enum source_state state)
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
        LOG_TEXT("state", source_state_name(state)),
        LOG_TEXT("before", source_state_name(source->state)), LOG_INT("epoch", source->epoch));
    source->state = state;
    stat_set(&source->stats.leader, state == SOURCE_ACTIVE || state == SOURCE_STOPPING);
    stat_set(&source->stats.epoch, source->epoch);
    stat_set(&source->stats.connected,
        state == SOURCE_STANDBY || state == SOURCE_ACTIVE || state == SOURCE_STOPPING);
}

void source_fail(struct source *source, const char *reason)
{
    if (!source->failure)
        source->failure = strdup(reason);
    if (!source->failure)
        abort(); /* a few bytes */
}

void source_write_failed(struct source *source, const char *sqlstate)
{
    char text[sizeof(source->refusal) + 64];
    if (strcmp(sqlstate, FENCED_SQLSTATE) == 0) {
        source_fail(source, "another relay has been elected");
        return;
    }
    snprintf(text, sizeof(text), "the database refused a statement: %s (SQLSTATE %s)",
        source->refusal, sqlstate);
    source_fail(source, text);
}

/* Drops everything that is in memory: the database knows all of it. Connections go first, so that
 * the answers still to come find their subscriptions alive. */
static void drop_all(struct source *source)
{
    session_close(source);
    wake_stop(source);
    loop_timer_stop(source->loop, &source->cursor_timer);
    maintain_stop(source);
    loop_timer_stop(source->loop, &source->secret_timer);
    loop_timer_stop(source->loop, &source->config_timer);
    figures_stop(source);
    readers_free(source);
    while (source->subscriptions) {
        struct subscription *s = source->subscriptions;
        source->subscriptions = s->next;
        s->reader = NULL;
        figures_gone(source, s->name);
        subscription_free(s);
    }
    configuration_free(source);
    source->cursors_in_flight = false;
    source->reload_wanted = source->reload_in_flight = false;
}

static void on_reconnect(void *context)
{
    struct source *source = context;
    stat_add(&source->stats.reconnects, 1);
    session_open(source);
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
        RECONNECT_BASE_MS, RECONNECT_MAX_MS, source->failures, -1, random_next(&source->random));
    loop_timer_start(source->loop, &source->reconnect_timer, wait_ms * US_PER_MS);
}

/* Events of the parts
 * ------------------------------------------------------------------------------
 */

void source_standby(struct source *source)
{
    source->failures = 0;
    forget_told(source);
    set_state(source, SOURCE_STANDBY);
}

void source_elected(struct source *source)
{
    stat_add(&source->stats.elections, 1);
    session_elected(source);
    set_state(source, SOURCE_LOADING);
    if (source->polling)
        source_work_opened(source);
    else if (pg_open(source->work) < 0)
        source_fail(source, "no thread or memory to connect");
}

void source_work_opened(struct source *source)
{
    configuration_load(source);
}

void source_loaded(struct source *source)
{
    if (source->failure || source->state != SOURCE_LOADING)
        return;
    set_state(source, SOURCE_ACTIVE);
    forget_told(source);
    maintain_start(source);
    if (source->polling)
        loop_timer_start(source->loop, &source->config_timer, CONFIG_POLL_US);
    wake_start(source);
}

void source_wants_turn(struct source *source)
{
    source->kick = true;
}

void source_cursor_moved(struct source *source)
{
    if (!timer_running(&source->cursor_timer))
        loop_timer_start(source->loop, &source->cursor_timer, CURSOR_EVERY_US);
}

void source_on_mark(void *context, PGresult *take_result)
{
    AUTO_RESULT PGresult *result = take_result;
    struct source *source = context;
    if (PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 1)
        marks_add(&source->marks, strtoull(PQgetvalue(result, 0, 0), NULL, 10),
            strtoll(PQgetvalue(result, 0, 1), NULL, 10));
}

void source_reload(struct source *source)
{
    source->reload_wanted = true;
    source->kick = true;
}

bool source_may_send(const struct source *source)
{
    return (source->state == SOURCE_ACTIVE || source->state == SOURCE_STOPPING) &&
           !source->failure && !source->resigning && !source->stop_overdue &&
           loop_now(source->loop) < source->lease_until_us;
}

bool source_allows(const struct source *source, const char *url)
{
    return allow_url(source->settings->allow_hosts, url);
}

size_t source_buffer_share(const struct source *source)
{
    size_t readers = 0;
    for (const struct reader *reader = source->readers; reader; reader = reader->next)
        readers++;
    size_t share = (size_t)source->settings->buffer_bytes / (readers ? readers : 1);
    return share > SMALLEST_SHARE ? share : SMALLEST_SHARE;
}

/* Timers -----------------------------------------------------------------------------------------
 */

static void on_cursor_timer(void *context)
{
    settle_cursors(context);
}

static void on_config_timer(void *context)
{
    struct source *source = context;
    source_reload(source);
    if (source->polling)
        loop_timer_start(source->loop, &source->config_timer, CONFIG_POLL_US);
}

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
    if (anything_under_way(source) || source->resigning)
        return;
    settle_cursors(source);
    if (source->cursors_in_flight)
        return;
    source->resigning = true;
    session_resign(source, on_resigned);
}

/* Turn -------------------------------------------------------------------------------------------
 */

static void turn_active(struct source *source)
{
    configuration_settle(source);
    if (source->reload_wanted)
        configuration_load(source);
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
        figures_update(s);
    }
    figures_watch(source);
}

static void turn(void *context)
{
    struct source *source = context;
    stat_set(&source->stats.alive_us, loop_now(source->loop));
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
    source->cursor_timer = (struct timer){.fire = on_cursor_timer, .context = source};
    maintain_init(source);
    source->secret_timer = (struct timer){.fire = on_config_timer, .context = source};
    source->config_timer = (struct timer){.fire = on_config_timer, .context = source};
}

static void source_free(struct source *source)
{
    if (!source)
        return;
    session_release(source);
    transport_free(source->transport);
    loop_free(source->loop);
    figures_release(source);
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
    return ret < 0 ? ret : session_init(source);
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
    source->polling = strcmp(settings->wake, "poll") == 0;
    figures_init(source);
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
    session_open(source);
    int ret = loop_run(source->loop);
    if (ret < 0)
        log_error("event loop failed", LOG_TEXT("source", source->name), LOG_INT("errno", -ret));
    return NULL;
}

int source_start(struct source *source)
{
    return pthread_create(&source->thread, NULL, thread_main, source) == 0 ? 0 : -EAGAIN;
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
