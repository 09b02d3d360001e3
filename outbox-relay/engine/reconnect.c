/* See reconnect.h. */
#include "outbox-relay/engine/reconnect.h"
#include "outbox-relay/base/backoff.h"
#include "outbox-relay/engine/core.h"
#include "outbox-relay/engine/lease.h"
#include "shared/base/cleanup.h"
#include "shared/base/log.h"

#include <string.h>

#define US_PER_MS INT64_C(1000)
#define BASE_MS 100
#define MAX_MS 2000 /* another host may be ready; a refused attempt costs little */

#define POOLER_HINT \
    "a pooler is in between: set OUTBOX_RELAY_WAKE=poll, or connect directly to PostgreSQL"

/* By SQLSTATE, as messages come in the server's language. */
const char *reconnect_hint(const char *sqlstate)
{
    static const struct {
        const char *sqlstate, *hint;
    } HINTS[] = {
        {"3F000", "run outbox-relay init for this database"}, /* undefined schema */
        {"42P01", "run outbox-relay init for this database"}, /* undefined table */
        {"42703", "run outbox-relay init for this database"}, /* undefined column */
        {"42883", "run outbox-relay init for this database"}, /* undefined function */
        {"42501", "grant outbox_relay to the role of this connection"},
        {"25006", "this server takes no writes: name all hosts and target_session_attrs=read-write "
                  "in the connection string"},
        /* A prepared statement that is not there, or there already: another client's session. */
        {"26000", POOLER_HINT},
        {"42P05", POOLER_HINT},
    };
    for (size_t i = 0; i < ARRAY_SIZE(HINTS); i++)
        if (strcmp(sqlstate, HINTS[i].sqlstate) == 0)
            return HINTS[i].hint;
    return NULL;
}

/* Once, and again from time to time while nothing else is wrong: an outage of hours must not hide
 * everything else in the log. */
static void tell(struct source *source)
{
    int64_t now = loop_now(source->loop);
    bool again =
        source->reconnect.told && strcmp(source->reconnect.told, source->failure.reason) == 0;
    if (again && now - source->reconnect.told_us < REMIND_US)
        return;
    const char *hint = reconnect_hint(source->failure.sqlstate);
    log_warn("reconnecting", LOG_TEXT("source", source->name),
        LOG_TEXT("reason", source->failure.reason), LOG_INT("failures", source->failure.count + 1),
        LOG_TEXT(hint ? "hint" : "next", hint ? hint : "retrying until it works"));
    free(source->reconnect.told);
    source->reconnect.told = strdup(source->failure.reason); /* NULL is told again */
    source->reconnect.told_us = now;
}

void reconnect_forget(struct source *source)
{
    free(source->reconnect.told);
    source->reconnect.told = NULL;
}

void reconnect_later(struct source *source)
{
    tell(source);
    source->failure.count++;
    int64_t wait_ms =
        probe_wait_ms(BASE_MS, MAX_MS, source->failure.count, -1, source_random(source));
    loop_timer_start(source->loop, &source->reconnect.timer, wait_ms * US_PER_MS);
}

static void on_timer(void *context)
{
    struct source *source = context;
    counter_add(&source->metrics.reconnects, 1);
    lease_open(source);
}

void reconnect_init(struct source *source)
{
    source->reconnect.timer = (struct timer){.fire = on_timer, .context = source};
}

void reconnect_stop(struct source *source)
{
    loop_timer_stop(source->loop, &source->reconnect.timer);
}
