/* See core.h. */
#include "outbox-relay/engine/core.h"
#include "outbox-relay/base/backoff.h"
#include "outbox-relay/engine/allow.h"
#include "outbox-relay/engine/statements.h"
#include "shared/base/log.h"

#include <stdio.h>
#include <string.h>

#define SMALLEST_SHARE ((size_t)256 * 1024)

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

void source_set_state(struct source *source, enum source_state state)
{
    if (source->state == state)
        return;
    /* On the way to the others; while that fails again and again the failure is told. */
    bool passing = state == SOURCE_CONNECTING || state == SOURCE_LOADING;
    const struct pg *pg = source_first_connection(source);
    LOG_AT(passing ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO, "source state",
        LOG_TEXT("source", source->name), LOG_TEXT("state", state_name(state)),
        LOG_TEXT("before", state_name(source->state)), LOG_INT("epoch", source->epoch),
        LOG_TEXT("host", pg_host(pg)), LOG_TEXT("port", pg_port(pg)),
        LOG_TEXT("server_version", pg_server_version(pg)));
    source->state = state;
    gauge_set(&source->metrics.leader, state == SOURCE_ACTIVE || state == SOURCE_STOPPING);
    gauge_set(&source->metrics.epoch, source->epoch);
    gauge_set(&source->metrics.connected,
        state == SOURCE_STANDBY || state == SOURCE_ACTIVE || state == SOURCE_STOPPING);
}

void source_fail_by(struct source *source, const char *sqlstate, const char *reason)
{
    struct failure *failure = &source->failure;
    if (failure->reason)
        return;
    failure->reason = strdup(reason);
    if (!failure->reason)
        abort(); /* a few bytes */
    snprintf(failure->sqlstate, sizeof(failure->sqlstate), "%s", sqlstate);
}

void source_fail(struct source *source, const char *reason)
{
    source_fail_by(source, "", reason);
}

void source_unit_failed(struct source *source, const char *sqlstate)
{
    char text[sizeof(source->failure.refusal) + 64];
    if (strcmp(sqlstate, FENCED_SQLSTATE) == 0) {
        source_fail(source, "another relay has been elected");
        return;
    }
    snprintf(text, sizeof(text), "the database refused a statement: %s (SQLSTATE %s)",
        source->failure.refusal, sqlstate);
    source_fail_by(source, sqlstate, text);
}

void source_unit_vital(void *context, const char *sqlstate)
{
    if (sqlstate)
        source_unit_failed(context, sqlstate);
}

/* The place of a unit among those that were told, or the one that was told the longest ago. */
static struct told_unit *told_place(struct source *source, const char *unit)
{
    struct told_unit *oldest = source->told_units;
    for (struct told_unit *each = oldest; each < source->told_units + TOLD_UNITS; each++) {
        if (each->unit && strcmp(each->unit, unit) == 0)
            return each;
        if (each->at_us < oldest->at_us)
            oldest = each;
    }
    return oldest;
}

void source_unit_tell(struct source *source, const char *unit, const char *sqlstate)
{
    struct told_unit *told = told_place(source, unit);
    int64_t now = loop_now(source->loop);
    bool again = told->unit && strcmp(told->unit, unit) == 0;
    if (source->failure.reason || source->state == SOURCE_STOPPING ||
        (again && now - told->at_us < REMIND_US))
        return; /* the end of the connection has a line of its own */
    log_warn("a statement failed, it is tried again", LOG_TEXT("source", source->name),
        LOG_TEXT("statement", unit), LOG_TEXT("error", source->failure.refusal),
        LOG_TEXT("sqlstate", sqlstate));
    *told = (struct told_unit){.unit = unit, .at_us = now};
}

void source_works(struct source *source)
{
    source->failure.count = 0;
}

struct pg *source_first_connection(const struct source *source)
{
    return source->polling ? source->work : source->session;
}

void source_fence(struct source *source)
{
    const char *values[] = {source->epoch_text};
    pg_send(source->work, &FENCE, values, NULL, NULL);
}

void source_wants_turn(struct source *source)
{
    source->wants.kick = true;
}

void source_wants_read(struct source *source)
{
    source->wants.read = true;
}

void source_wants_reload(struct source *source)
{
    source->wants.reload = true;
    source->wants.kick = true;
}

bool source_may_send(const struct source *source)
{
    return (source->state == SOURCE_ACTIVE || source->state == SOURCE_STOPPING) &&
           !source->failure.reason && !source->shutdown.resigning && !source->shutdown.overdue &&
           loop_now(source->loop) < source->lease_until_us;
}

bool source_allows(const struct source *source, const char *url)
{
    return allow_url(source->settings->allow_hosts, url);
}

uint64_t source_random(struct source *source)
{
    return random_next(&source->random);
}

size_t source_buffer_share(const struct source *source)
{
    size_t readers = source->readers.count ? source->readers.count : 1;
    size_t share = (size_t)source->settings->buffer_bytes / readers;
    return share > SMALLEST_SHARE ? share : SMALLEST_SHARE;
}

bool subscription_is_full(const struct subscription *s)
{
    return s->parked.count > (size_t)s->source->settings->max_parked_keys;
}
