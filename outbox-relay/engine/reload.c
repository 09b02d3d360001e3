/* See reload.h. */
#include "outbox-relay/engine/reload.h"
#include "outbox-relay/engine/breaker.h"
#include "outbox-relay/engine/lane_queue.h"
#include "outbox-relay/engine/parked_count.h"
#include "outbox-relay/engine/parking.h"
#include "outbox-relay/engine/reader.h"
#include "outbox-relay/engine/secret.h"
#include "outbox-relay/engine/statements.h"
#include "outbox-relay/engine/subscription.h"
#include "shared/base/log.h"
#include "shared/db/result.h"

#include <errno.h>
#include <string.h>

#define US_PER_MS INT64_C(1000)
#define SECRET_RETRY_MS INT64_C(10000)
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
    loop_timer_stop(source->loop, &source->secret_timer);
    loop_timer_stop(source->loop, &source->config_timer);
    source->reload_wanted = source->reload_in_flight = false;
    if (source->loading)
        clear(source->loading);
    free(source->loading);
    source->loading = NULL;
}

static struct subscription *find(const struct source *source, const char *name)
{
    struct subscription *s = source->subscriptions;
    while (s && (s->gone || strcmp(s->name, name) != 0))
        s = s->next;
    return s;
}

static bool is_idle(const struct subscription *s)
{
    return s->in_flight == 0 && s->writes == 0;
}

/* Subscriptions ----------------------------------------------------------------------------------
 */

static void add(struct source *source, const PGresult *rows, int row)
{
    struct subscription *s = subscription_new(source, rows, row);
    if (!s || reader_join(s) < 0) {
        subscription_free(s);
        source_fail(source, "a subscription can't be set up: no memory, or a malformed row");
        return;
    }
    s->seen = true;
    s->retry_due = true;
    s->next = source->subscriptions;
    source->subscriptions = s;
    log_info("subscription", LOG_TEXT("source", source->name), LOG_TEXT("subscription", s->name),
        LOG_TEXT("url", s->url), LOG_INT("position", s->settled.position));
}

/* Someone has moved the cursor: forgets what is queued and begins there. */
static void begin_anew(struct subscription *s, const PGresult *rows, int row)
{
    subscription_drop_queue(s);
    if (subscription_set_cursor(s, rows, row) < 0) {
        source_fail(s->source, "a cursor can't be read");
        return;
    }
    s->reload = false;
    if (reader_join(s) < 0)
        source_fail(s->source, "out of memory");
    log_info("subscription begins anew", LOG_TEXT("source", s->source->name),
        LOG_TEXT("subscription", s->name), LOG_INT("position", s->settled.position));
}

static void change(struct subscription *s, const PGresult *rows, int row)
{
    s->seen = true;
    bool was_active = s->active;
    bool moved = strcmp(s->url, PQgetvalue(rows, row, SUBSCRIPTION_URL)) != 0;
    if (subscription_configure(s, rows, row) < 0) {
        source_fail(s->source, "out of memory");
        return;
    }
    if (moved || (s->active && !was_active)) {
        s->retry_due = true;
        breaker_probe_now(s);
    }
    if (strcmp(s->generation, PQgetvalue(rows, row, SUBSCRIPTION_GENERATION)) != 0)
        s->reload = true;
    if (!s->reload)
        return;
    reader_leave(s);
    if (is_idle(s))
        begin_anew(s, rows, row);
}

static void apply_subscriptions(struct source *source, const PGresult *rows)
{
    for (struct subscription *s = source->subscriptions; s; s = s->next)
        s->seen = false;
    for (int row = 0; row < PQntuples(rows) && !source->failure; row++) {
        struct subscription *s = find(source, PQgetvalue(rows, row, SUBSCRIPTION_NAME));
        if (s)
            change(s, rows, row);
        else
            add(source, rows, row);
    }
    for (struct subscription *s = source->subscriptions; s; s = s->next) {
        if (s->seen || s->gone)
            continue;
        log_info("subscription is removed", LOG_TEXT("source", source->name),
            LOG_TEXT("subscription", s->name));
        s->gone = true;
        reader_leave(s);
    }
}

/* Secrets ----------------------------------------------------------------------------------------
 */

static void log_secret_problem(const struct subscription *s, int problem, const char *reference)
{
    if (problem == 0) {
        log_info("the signing secret can be read again", LOG_TEXT("source", s->source->name),
            LOG_TEXT("subscription", s->name));
        return;
    }
    log_error(s->signer ? "a signing secret can't be read, the other one signs alone"
                        : "no signing secret, nothing is sent",
        LOG_TEXT("source", s->source->name), LOG_TEXT("subscription", s->name),
        LOG_TEXT("secret", strncmp(reference, "whsec_", 6) == 0 ? "in the database" : reference),
        LOG_TEXT("error", problem == -EINVAL ? "not whsec_ and the base64 of 24 to 64 bytes"
                                             : strerror(-problem)));
}

/* Makes the signer of one subscription from its valid secrets, the newest first. Returns the ms
 * until one of them ends, or -1. */
static int64_t apply_secrets_of(struct subscription *s, const PGresult *rows)
{
    struct webhook_key keys[WEBHOOK_SIGNER_KEYS];
    size_t count = 0;
    int64_t ends_ms = -1;
    int problem = 0;
    const char *reference = "";
    for (int row = 0; row < PQntuples(rows) && count < WEBHOOK_SIGNER_KEYS; row++) {
        if (strcmp(PQgetvalue(rows, row, 0), s->name) != 0)
            continue;
        int ret = secret_resolve(PQgetvalue(rows, row, 1), &keys[count]);
        if (ret < 0) {
            problem = ret;
            reference = PQgetvalue(rows, row, 1);
            continue;
        }
        count++;
        int64_t left = PQgetisnull(rows, row, 2) ? -1 : strtoll(PQgetvalue(rows, row, 2), NULL, 10);
        if (left >= 0 && (ends_ms < 0 || left < ends_ms))
            ends_ms = left;
    }
    webhook_signer_free(s->signer);
    s->signer = count ? webhook_signer_new(keys, count) : NULL;
    explicit_bzero(keys, sizeof(keys));
    if (!s->signer && problem == 0)
        problem = -ENOKEY;
    if (problem != s->secret_problem)
        log_secret_problem(s, problem, reference);
    s->secret_problem = problem;
    /* Whoever mends a file tells nobody. */
    return problem && (ends_ms < 0 || ends_ms > SECRET_RETRY_MS) ? SECRET_RETRY_MS : ends_ms;
}

static void apply_secrets(struct source *source, const PGresult *rows)
{
    int64_t next_ms = -1;
    for (struct subscription *s = source->subscriptions; s; s = s->next) {
        int64_t ends_ms = s->gone ? -1 : apply_secrets_of(s, rows);
        if (ends_ms >= 0 && (next_ms < 0 || ends_ms < next_ms))
            next_ms = ends_ms;
    }
    if (next_ms >= 0)
        loop_timer_start(source->loop, &source->secret_timer, next_ms * US_PER_MS);
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
        parking_unload(s); /* what is due may have changed */
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
    struct loaded *loaded = source->loading;
    source->reload_in_flight = false;
    if (sqlstate) {
        source_write_failed(source, sqlstate);
        return;
    }
    apply_subscriptions(source, loaded->subscriptions);
    if (!source->failure) {
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
    source->reload_wanted = true;
    if (source->reload_in_flight)
        return;
    if (!source->loading && !(source->loading = calloc(1, sizeof(struct loaded)))) {
        source_fail(source, "out of memory");
        return;
    }
    source->reload_wanted = false;
    source->reload_in_flight = true;
    clear(source->loading);
    if (source->state == SOURCE_LOADING) {
        pg_send(source->work, &REBASE, NULL, on_rebased, source);
        pg_commit(source->work, NULL, NULL);
    }
    pg_send(source->work, &LOAD_SUBSCRIPTIONS, NULL, on_subscriptions, source->loading);
    pg_send(source->work, &LOAD_SECRETS, NULL, on_secrets, source->loading);
    pg_send(source->work, &LOAD_PARKED_KEYS, NULL, on_parked_keys, source->loading);
    pg_commit(source->work, on_loaded, source);
}

/* What had to wait -------------------------------------------------------------------------------
 */

static void do_what_waited_for(struct subscription *s)
{
    if (!is_idle(s))
        return;
    if (s->reload) {
        reader_leave(s);
        source_wants_reload(s->source); /* which ends in begin_anew() */
    } else if (s->wanted_in_flight != s->max_in_flight &&
               lanes_resize(s, s->wanted_in_flight) < 0) {
        source_fail(s->source, "out of memory");
    }
}

static void do_what_waited(struct source *source)
{
    struct subscription **link = &source->subscriptions;
    while (*link) {
        struct subscription *s = *link;
        if (s->gone && is_idle(s)) {
            *link = s->next;
            if (!find(source, s->name)) /* else it has been made anew */
                metrics_gone(&source->metrics, s->name);
            subscription_free(s);
            continue;
        }
        if (!s->gone)
            do_what_waited_for(s);
        link = &s->next;
    }
}

void reload_turn(struct source *source)
{
    do_what_waited(source);
    if (source->reload_wanted)
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
    loop_timer_start(source->loop, &source->config_timer, POLL_US);
}

void reload_init(struct source *source)
{
    source->secret_timer = (struct timer){.fire = on_secret_timer, .context = source};
    source->config_timer = (struct timer){.fire = on_poll_timer, .context = source};
}

void reload_poll(struct source *source)
{
    if (source->polling)
        loop_timer_start(source->loop, &source->config_timer, POLL_US);
}
