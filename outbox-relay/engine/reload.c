/* See reload.h. */
#include "outbox-relay/engine/reload.h"
#include "outbox-relay/engine/breaker.h"
#include "outbox-relay/engine/lane_queue.h"
#include "outbox-relay/engine/parked_count.h"
#include "outbox-relay/engine/parked_retry.h"
#include "outbox-relay/engine/reader.h"
#include "outbox-relay/engine/signing.h"
#include "outbox-relay/engine/statements.h"
#include "outbox-relay/engine/subscription.h"
#include "shared/base/log.h"
#include "shared/db/result.h"

#include <errno.h>
#include <string.h>

#define US_PER_MS INT64_C(1000)
#define POLL_US INT64_C(5000000) /* poll mode has no notifications */

/* What the statements of one reload gave. */
struct loaded {
    PGresult *subscriptions, *secrets, *parked_keys;
};

static void clear(struct loaded *loaded)
{
    PQclear(loaded->subscriptions);
    PQclear(loaded->secrets);
    PQclear(loaded->parked_keys);
    *loaded = (struct loaded){0};
}

void reload_stop(struct source *source)
{
    loop_timer_stop(source->loop, &source->reload.secret_timer);
    loop_timer_stop(source->loop, &source->reload.poll_timer);
    source->wants.reload = source->reload.in_flight = false;
    if (source->reload.loaded)
        clear(source->reload.loaded);
    free(source->reload.loaded);
    source->reload.loaded = NULL;
}

static struct subscription *find(const struct source *source, const char *name)
{
    struct subscription *s = source->subscriptions;
    while (s && (s->phase == PHASE_DELETED || strcmp(s->name, name) != 0))
        s = s->next;
    return s;
}

static bool is_idle(const struct subscription *s)
{
    return s->lanes.in_flight == 0 && s->writes == 0;
}

/* Subscriptions ----------------------------------------------------------------------------------
 */

static void add(struct source *source, const PGresult *rows, int row)
{
    struct subscription *s = subscription_new(source, rows, row);
    if (!s || reader_join(s) < 0) {
        subscription_free(s);
        source_fail(source, "cannot set up a subscription: no memory or a malformed row");
        return;
    }
    s->reload.seen = true;
    parked_retry_soon(s);
    s->next = source->subscriptions;
    source->subscriptions = s;
    log_info("subscription loaded", LOG_TEXT("source", source->name),
        LOG_TEXT("subscription", s->name), LOG_TEXT("url", s->row.url),
        LOG_INT("position", s->settled.position));
}

/* Someone has moved the cursor: forgets what is queued and begins there. */
static void begin_anew(struct subscription *s, const PGresult *rows, int row)
{
    subscription_drop_events(s);
    if (subscription_set_cursor(s, rows, row) < 0) {
        source_fail(s->source, "malformed cursor");
        return;
    }
    subscription_set_phase(s, PHASE_CURRENT);
    if (reader_join(s) < 0)
        source_fail(s->source, "out of memory");
    log_info("subscription restarted at its stored cursor", LOG_TEXT("source", s->source->name),
        LOG_TEXT("subscription", s->name), LOG_INT("position", s->settled.position));
}

static void change(struct subscription *s, const PGresult *rows, int row)
{
    s->reload.seen = true;
    bool was_active = s->state == SUBSCRIPTION_ACTIVE;
    bool moved = strcmp(s->row.url, PQgetvalue(rows, row, SUBSCRIPTION_URL)) != 0;
    if (subscription_configure(s, rows, row) < 0) {
        source_fail(s->source, "out of memory");
        return;
    }
    if (moved || (s->state == SUBSCRIPTION_ACTIVE && !was_active)) {
        parked_retry_soon(s);
        breaker_probe_now(s);
    }
    if (strcmp(s->row.generation, PQgetvalue(rows, row, SUBSCRIPTION_GENERATION)) != 0)
        subscription_set_phase(s, PHASE_OUTDATED);
    if (s->phase == PHASE_CURRENT)
        return;
    reader_leave(s);
    if (is_idle(s))
        begin_anew(s, rows, row);
}

static void apply_subscriptions(struct source *source, const PGresult *rows)
{
    for (struct subscription *s = source->subscriptions; s; s = s->next)
        s->reload.seen = false;
    for (int row = 0; row < PQntuples(rows) && !source->failure.reason; row++) {
        struct subscription *s = find(source, PQgetvalue(rows, row, SUBSCRIPTION_NAME));
        if (s)
            change(s, rows, row);
        else
            add(source, rows, row);
    }
    for (struct subscription *s = source->subscriptions; s; s = s->next) {
        if (s->reload.seen || s->phase == PHASE_DELETED)
            continue;
        log_info("subscription removed", LOG_TEXT("source", source->name),
            LOG_TEXT("subscription", s->name));
        subscription_set_phase(s, PHASE_DELETED);
        reader_leave(s);
    }
}

/* Secrets ----------------------------------------------------------------------------------------
 */

static void apply_secrets(struct source *source, const PGresult *rows)
{
    int64_t next_ms = -1;
    for (struct subscription *s = source->subscriptions; s; s = s->next) {
        int64_t ends_ms = s->phase == PHASE_DELETED ? -1 : signing_apply(s, rows);
        if (ends_ms >= 0 && (next_ms < 0 || ends_ms < next_ms))
            next_ms = ends_ms;
    }
    if (next_ms >= 0)
        loop_timer_start(source->loop, &source->reload.secret_timer, next_ms * US_PER_MS);
}

/* Parked keys ------------------------------------------------------------------------------------
 */

static struct text cell(const PGresult *rows, int row, int column)
{
    return (struct text){PQgetvalue(rows, row, column), (uint32_t)PQgetlength(rows, row, column)};
}

static void apply_parked_keys(struct source *source, const PGresult *rows)
{
    for (struct subscription *s = source->subscriptions; s; s = s->next)
        keyset_forget_parked(&s->parked);
    for (int row = 0; row < PQntuples(rows); row++) {
        struct subscription *s = find(source, PQgetvalue(rows, row, 0));
        if (!s)
            continue;
        uint64_t key = event_key(cell(rows, row, 1), cell(rows, row, 2));
        keyset_add(&s->parked, key)->parked += strtoll(PQgetvalue(rows, row, 3), NULL, 10);
    }
    for (struct subscription *s = source->subscriptions; s; s = s->next) {
        keyset_sweep(&s->parked);
        parked_retry_unload(s); /* what is due may have changed */
    }
}

/* Loading ----------------------------------------------------------------------------------------
 */

static PGresult *usable(PGresult *take_result)
{
    if (PQresultStatus(take_result) == PGRES_TUPLES_OK)
        return take_result;
    PQclear(take_result);
    return NULL;
}

static void on_subscriptions(void *context, PGresult *take_result)
{
    ((struct loaded *)context)->subscriptions = usable(take_result);
}

static void on_secrets(void *context, PGresult *take_result)
{
    ((struct loaded *)context)->secrets = usable(take_result);
}

static void on_parked_keys(void *context, PGresult *take_result)
{
    ((struct loaded *)context)->parked_keys = usable(take_result);
}

static void on_rebased(void *context, PGresult *take_result)
{
    AUTO_RESULT PGresult *result = take_result;
    const struct source *source = context;
    if (PQresultStatus(result) == PGRES_TUPLES_OK && *PQgetvalue(result, 0, 0) == 't')
        log_warn(
            "transaction ids have begun anew, as after a restore from a dump: cursors are made "
            "right, some events may be sent again",
            LOG_TEXT("source", source->name));
}

static void on_loaded(void *context, const char *sqlstate)
{
    struct source *source = context;
    struct loaded *loaded = source->reload.loaded;
    source->reload.in_flight = false;
    if (sqlstate)
        source_unit_failed(source, sqlstate);
    if (source->failure.reason)
        return;
    apply_subscriptions(source, loaded->subscriptions);
    if (!source->failure.reason) {
        apply_secrets(source, loaded->secrets);
        apply_parked_keys(source, loaded->parked_keys);
    }
    clear(loaded);
    parked_count_soon(source);
    source_wants_turn(source); /* what could not be sent may now */
    source->events->loaded(source);
}

void reload_start(struct source *source)
{
    source->wants.reload = true;
    if (source->reload.in_flight)
        return;
    if (!source->reload.loaded && !(source->reload.loaded = calloc(1, sizeof(struct loaded)))) {
        source_fail(source, "out of memory");
        return;
    }
    source->wants.reload = false;
    source->reload.in_flight = true;
    clear(source->reload.loaded);
    if (source->state == SOURCE_LOADING) {
        pg_send(source->work, &REBASE, NULL, on_rebased, source);
        pg_commit(source->work, source_unit_vital, source); /* no cursor is used without it */
    }
    pg_send(source->work, &LOAD_SUBSCRIPTIONS, NULL, on_subscriptions, source->reload.loaded);
    pg_send(source->work, &LOAD_SECRETS, NULL, on_secrets, source->reload.loaded);
    pg_send(source->work, &LOAD_PARKED_KEYS, NULL, on_parked_keys, source->reload.loaded);
    pg_commit(source->work, on_loaded, source);
}

/* What had to wait -------------------------------------------------------------------------------
 */

static void do_what_waited_for(struct subscription *s)
{
    if (!is_idle(s))
        return;
    if (s->phase == PHASE_OUTDATED) {
        reader_leave(s);
        source_wants_reload(s->source); /* which ends in begin_anew() */
    } else if (!lanes_fit(s) && lanes_resize(s, s->row.max_in_flight) < 0) {
        source_fail(s->source, "out of memory");
    }
}

static void do_what_waited(struct source *source)
{
    struct subscription **link = &source->subscriptions;
    while (*link) {
        struct subscription *s = *link;
        if (s->phase == PHASE_DELETED && is_idle(s)) {
            *link = s->next;
            if (!find(source, s->name)) /* else it has been made anew */
                metrics_gone(&source->metrics, s->name);
            subscription_free(s);
            continue;
        }
        if (s->phase != PHASE_DELETED)
            do_what_waited_for(s);
        link = &s->next;
    }
}

void reload_turn(struct source *source)
{
    do_what_waited(source);
    if (source->wants.reload)
        reload_start(source);
}

/* Timers -----------------------------------------------------------------------------------------
 */

static void on_secret_timer(void *context)
{
    source_wants_reload(context);
}

static void on_poll_timer(void *context)
{
    struct source *source = context;
    source_wants_reload(source);
    loop_timer_start(source->loop, &source->reload.poll_timer, POLL_US);
}

void reload_init(struct source *source)
{
    source->reload.secret_timer = (struct timer){.fire = on_secret_timer, .context = source};
    source->reload.poll_timer = (struct timer){.fire = on_poll_timer, .context = source};
}

void reload_poll(struct source *source)
{
    if (source->polling)
        loop_timer_start(source->loop, &source->reload.poll_timer, POLL_US);
}
