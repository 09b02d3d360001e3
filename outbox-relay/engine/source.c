/* See source.h. */
#include "outbox-relay/engine/source.h"
#include "outbox-relay/engine/channel.h"
#include "outbox-relay/engine/core.h"
#include "outbox-relay/engine/cursor_store.h"
#include "outbox-relay/engine/guard.h"
#include "outbox-relay/engine/lag.h"
#include "outbox-relay/engine/lane.h"
#include "outbox-relay/engine/lease.h"
#include "outbox-relay/engine/maintenance.h"
#include "outbox-relay/engine/parked_count.h"
#include "outbox-relay/engine/parked_retry.h"
#include "outbox-relay/engine/parking.h"
#include "outbox-relay/engine/reader.h"
#include "outbox-relay/engine/reconnect.h"
#include "outbox-relay/engine/reload.h"
#include "outbox-relay/engine/shutdown.h"
#include "outbox-relay/engine/subscription.h"
#include "outbox-relay/engine/tick.h"
#include "outbox-relay/engine/wake.h"
#include "outbox-relay/event/cloudevent.h"
#include "outbox-relay/http/transport.h"
#include "shared/base/log.h"
#include "shared/base/random.h"

#include <errno.h>
#include <string.h>

#define US_PER_MS INT64_C(1000)

/* Drops everything that is in memory: the database knows all of it. Connections go first, so that
 * the answers still to come find their subscriptions alive. */
static void drop_all(struct source *source)
{
    lease_close(source);
    wake_stop(source);
    channel_stop(source);
    cursor_store_stop(source);
    maintenance_stop(source);
    parked_count_stop(source);
    lag_stop(source);
    tick_stop(source);
    readers_free(source);
    while (source->subscriptions) {
        struct subscription *s = source->subscriptions;
        source->subscriptions = s->next;
        metrics_gone(&source->metrics, s->name);
        subscription_free(s);
    }
    reload_stop(source);
}

static void begin_anew(struct source *source)
{
    reconnect_later(source);
    drop_all(source);
    free(source->failure.reason); /* what came up meanwhile is a consequence */
    source->failure.reason = NULL;
    source_set_state(source, SOURCE_CONNECTING);
}

static void finish(struct source *source)
{
    drop_all(source);
    source_set_state(source, SOURCE_STOPPED);
    loop_stop(source->loop);
}

/* Events of the parts
 * ------------------------------------------------------------------------------
 */

static void on_standby(struct source *source)
{
    source_works(source);
    reconnect_forget(source);
    source_set_state(source, SOURCE_STANDBY);
}

/* A standby may have waited for long: much can have happened since it was connected. */
static void on_work_opened(struct source *source)
{
    guard_check(source, source->work, reload_start);
}

static void on_elected(struct source *source)
{
    counter_add(&source->metrics.elections, 1);
    lease_hold(source);
    source_set_state(source, SOURCE_LOADING);
    lease_open_work(source);
}

static void on_loaded(struct source *source)
{
    if (source->failure.reason || source->state != SOURCE_LOADING)
        return;
    source_set_state(source, SOURCE_ACTIVE);
    reconnect_forget(source);
    maintenance_start(source);
    reload_poll(source);
    channel_prove(source);
    wake_start(source);
}

static const struct source_events EVENTS = {
    .standby = on_standby,
    .elected = on_elected,
    .work_opened = on_work_opened,
    .loaded = on_loaded,
};

/* Turn -------------------------------------------------------------------------------------------
 */

static void turn_active(struct source *source)
{
    reload_turn(source);
    /* First, so that the server reads while requests are built here. */
    tick_turn(source);
    bool kick = source->wants.kick;
    source->wants.kick = false;
    for (struct subscription *s = source->subscriptions; s; s = s->next) {
        if (kick)
            lanes_kick(s);
        parking_turn(s);
        parked_retry_turn(s);
        lag_update(s);
    }
    cursor_store_turn(source);
    lag_watch(source);
}

static void begin_stop(struct source *source)
{
    reconnect_stop(source);
    shutdown_begin(source);
}

static void turn(void *context)
{
    struct source *source = context;
    gauge_set(&source->metrics.alive_us, loop_now(source->loop));
    if (source->life.stop_wanted && source->state < SOURCE_STOPPING)
        begin_stop(source);
    if (source->state == SOURCE_STOPPING) {
        if (shutdown_turn(source))
            finish(source);
        return;
    }
    if (source->failure.reason)
        begin_anew(source);
    if (source->state == SOURCE_ACTIVE)
        turn_active(source);
    /* What came up in this turn is not left until something happens. */
    if (source->failure.reason || (source->wants.kick && source->state == SOURCE_ACTIVE))
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
    reconnect_init(source);
    channel_init(source);
    shutdown_init(source);
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
    free(source->failure.reason);
    reconnect_forget(source);
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
            .connection_age_s = source->settings->connection_age_s,
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
    random_bytes(&source->random, sizeof(source->random));
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
    return pthread_create(&source->life.thread, NULL, thread_main, source) == 0 ? 0 : -EAGAIN;
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
    source->life.stop_wanted = true;
    loop_poke(source->loop);
}

void source_join(struct source *source, bool started)
{
    if (started)
        pthread_join(source->life.thread, NULL);
    source_free(source);
}
