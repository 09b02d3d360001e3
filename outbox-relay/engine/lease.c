/* See lease.h. */
#include "outbox-relay/engine/lease.h"
#include "outbox-relay/engine/channel.h"
#include "outbox-relay/engine/guard.h"
#include "outbox-relay/engine/statements.h"
#include "outbox-relay/engine/wake.h"
#include "outbox-relay/postgres/pg_session.h"
#include "shared/base/log.h"
#include "shared/db/result.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define US_PER_MS INT64_C(1000)
#define STANDBY_WAIT_MS INT64_C(1000)

/* The server ends the session, and with it the lease, when it hears nothing for the time to live.
 * The relay itself trusts it for less, counted from before it sent its last sign of life. */
static int64_t trusted_us(const struct source *source)
{
    return source->settings->lease_ttl_ms * US_PER_MS * 8 / 10;
}

static int64_t beat_us(const struct source *source)
{
    return source->settings->lease_ttl_ms * US_PER_MS / 3;
}

/* Standby ----------------------------------------------------------------------------------------
 */

/* Tries again after about a second, with jitter so that standbys do not march in step. */
static void try_later(struct source *source)
{
    int64_t wait_us = STANDBY_WAIT_MS * US_PER_MS;
    if (wait_us > beat_us(source))
        wait_us = beat_us(source);
    wait_us = wait_us * 3 / 4 + (int64_t)(source_random(source) % (uint64_t)(wait_us / 2));
    loop_timer_start(source->loop, &source->lease.timer, wait_us);
}

static void on_elect_done(void *context, const char *sqlstate)
{
    struct source *source = context;
    if (sqlstate) {
        source_unit_failed(source, sqlstate);
    } else if (source->epoch > 0) {
        source->events->elected(source);
    } else {
        source->events->standby(source);
        try_later(source);
    }
}

static void on_elected(void *context, PGresult *take_result)
{
    AUTO_RESULT PGresult *result = take_result;
    struct source *source = context;
    if (PQresultStatus(result) != PGRES_TUPLES_OK || PQntuples(result) != 1)
        return;
    source->epoch = strtoll(PQgetvalue(result, 0, 0), NULL, 10);
    snprintf(source->epoch_text, sizeof(source->epoch_text), "%" PRId64, source->epoch);
    source->last_id = strtoll(PQgetvalue(result, 0, 3), NULL, 10);
    source->marks.count = 0;
    if (!PQgetisnull(result, 0, 1))
        marks_add(&source->marks, strtoull(PQgetvalue(result, 0, 1), NULL, 10),
            strtoll(PQgetvalue(result, 0, 2), NULL, 10));
}

static const char *ttl_text(const struct source *source, char text[24])
{
    snprintf(text, 24, "%" PRId64, source->settings->lease_ttl_ms);
    return text;
}

/* Every sign of life counts from when it was sent. */
static void note_sent(struct source *source)
{
    source->lease.beat_sent_us = loop_now(source->loop);
}

static void note_alive(struct source *source)
{
    source->lease_until_us = source->lease.beat_sent_us + trusted_us(source);
    gauge_set(&source->metrics.alive_us, loop_now(source->loop));
}

static void elect_by_row(struct source *source)
{
    char ttl[24];
    const char *values[] = {source->lease.holder, ttl_text(source, ttl)};
    note_sent(source);
    pg_send(source->work, &ELECT_POLLING, values, on_elected, source);
    pg_commit(source->work, on_elect_done, source);
}

static void on_lock(void *context, PGresult *take_result)
{
    AUTO_RESULT PGresult *result = take_result;
    struct source *source = context;
    struct lease *lease = &source->lease;
    lease->lock_held = PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 1 &&
                       *PQgetvalue(result, 0, 0) == 't';
    if (lease->lock_held)
        snprintf(lease->lock_pid, sizeof(lease->lock_pid), "%s", PQgetvalue(result, 0, 1));
}

static void on_lock_done(void *context, const char *sqlstate)
{
    struct source *source = context;
    if (sqlstate) {
        source_unit_failed(source, sqlstate);
        return;
    }
    gauge_set(&source->metrics.alive_us, loop_now(source->loop));
    if (!source->lease.lock_held) {
        source->events->standby(source);
        try_later(source);
        return;
    }
    const char *values[] = {source->lease.holder};
    note_sent(source);
    /* First listen, then everything that reads. */
    pg_send(source->session, &LISTEN_EVENTS, NULL, NULL, NULL);
    pg_send(source->session, &LISTEN_CONTROL, NULL, NULL, NULL);
    pg_commit(source->session, source_unit_vital, source);
    pg_send(source->session, &ELECT, values, on_elected, source);
    pg_commit(source->session, on_elect_done, source);
}

static void stand_for_election(struct source *source)
{
    if (source->polling) {
        source->events->standby(source);
        elect_by_row(source);
        return;
    }
    if (source->lease.lock_held) { /* but a relay that polls has the lease */
        on_lock_done(source, NULL);
        return;
    }
    pg_send(source->session, &TRY_LEASE_LOCK, NULL, on_lock, source);
    pg_commit(source->session, on_lock_done, source);
}

/* Proof ------------------------------------------------------------------------------------------
 * A name or a proxy can lead the working connection to another server than the session, where
 * another relay may lead with the same epoch. */

static void on_proof(void *context, PGresult *take_result)
{
    AUTO_RESULT PGresult *result = take_result;
    struct source *source = context;
    source->lease.proved = PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 1 &&
                           *PQgetvalue(result, 0, 0) == 't';
}

static void on_proof_done(void *context, const char *sqlstate)
{
    struct source *source = context;
    char reason[400];
    if (sqlstate) {
        source_unit_failed(source, sqlstate);
    } else if (source->lease.proved) {
        source->events->work_opened(source);
    } else {
        snprintf(reason, sizeof(reason),
            "the working connection (%.100s port %.10s) does not see the lease that the session "
            "(%.100s port %.10s) holds: they have reached two servers",
            pg_host(source->work), pg_port(source->work), pg_host(source->session),
            pg_port(source->session));
        source_fail(source, reason);
    }
}

static void prove(struct source *source)
{
    const char *values[] = {source->lease.lock_pid, source->epoch_text, source->lease.holder};
    source->lease.proved = false;
    pg_send(source->work, &PROVE_LEASE, values, on_proof, source);
    pg_commit(source->work, on_proof_done, source);
}

/* Signs of life ----------------------------------------------------------------------------------
 */

static void on_beat(void *context, const char *sqlstate)
{
    struct source *source = context;
    if (sqlstate) {
        source_unit_failed(source, sqlstate);
        return;
    }
    note_alive(source);
    source_wants_turn(source); /* the lease may have been in doubt */
}

static void on_renewed(void *context, PGresult *take_result)
{
    AUTO_RESULT PGresult *result = take_result;
    struct source *source = context;
    if (PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 0)
        source_fail(source, "another relay has been elected");
}

static void beat(struct source *source)
{
    struct pg *pg = source->polling ? source->work : source->session;
    int64_t since = pg_pending_since(pg);
    if (since && loop_now(source->loop) - since > trusted_us(source)) {
        source_fail(source, "the server does not answer");
        return;
    }
    loop_timer_start(source->loop, &source->lease.timer, beat_us(source));
    if (!source->polling && since)
        return; /* a sign of life is under way */
    note_sent(source);
    if (source->polling) {
        char ttl[24];
        const char *values[] = {source->epoch_text, ttl_text(source, ttl)};
        pg_send(pg, &RENEW_POLLING, values, on_renewed, source);
    } else {
        pg_send(pg, &HEARTBEAT, NULL, NULL, NULL);
    }
    pg_commit(pg, on_beat, source);
}

static void on_lease_timer(void *context)
{
    struct source *source = context;
    if (source->epoch > 0)
        beat(source);
    else
        stand_for_election(source);
}

void lease_hold(struct source *source)
{
    note_alive(source);
    loop_timer_start(source->loop, &source->lease.timer, beat_us(source));
}

/* Connections ------------------------------------------------------------------------------------
 */

static void on_lost(void *context, const char *sqlstate, const char *message)
{
    source_fail_by(context, sqlstate, message);
}

static void on_refused(void *context, const char *message)
{
    struct source *source = context;
    snprintf(source->failure.refusal, sizeof(source->failure.refusal), "%s", message);
}

static void on_session_opened(void *context)
{
    struct source *source = context;
    guard_check(source, source->session, stand_for_election);
}

static void on_work_opened(void *context)
{
    struct source *source = context;
    if (source->polling)
        guard_check(source, source->work, stand_for_election);
    else
        prove(source);
}

static void on_notified(void *context, const char *channel, const char *payload)
{
    struct source *source = context;
    if (source->state != SOURCE_ACTIVE)
        return; /* everything is read anyway when it becomes active */
    if (strcmp(channel, "outbox_control") != 0)
        wake_notified(source);
    else if (!channel_heard(source, payload))
        source_wants_reload(source);
}

/* The session that holds the locks: server-side time to live of the lease. */
static int make_session_setup(struct source *source)
{
    struct lease *lease = &source->lease;
    if (asprintf(&lease->idle_limit, "set idle_session_timeout = %" PRId64,
            source->settings->lease_ttl_ms) < 0) {
        lease->idle_limit = NULL;
        return -ENOMEM;
    }
    lease->session_setup[0] = PG_FIX_TIME_LIMIT;
    lease->session_setup[1] = PG_FIX_SESSION;
    lease->session_setup[2] = lease->idle_limit;
    return 0;
}

static const char *const WORK_SETUP[] = {
    PG_FIX_TIME_LIMIT,
    PG_FIX_SESSION,
    /* A plan made once for the cursor's reads, which are index scans in the order of ids. */
    "set plan_cache_mode = force_generic_plan",
    "set enable_seqscan = off",
    "set enable_bitmapscan = off",
    "set enable_sort = off",
    /* A lost cursor write costs a second delivery, and writes are lost in order. */
    "set synchronous_commit = off",
    NULL,
};

int lease_init(struct source *source)
{
    struct pg_settings settings = {
        .conninfo = source->conninfo,
        .application_name = "outbox-relay",
        .setup = source->polling ? NULL : WORK_SETUP,
        .statements = WORK_STATEMENTS,
        .unnamed = source->polling,
        .prelude = source->polling ? POLLING_PRELUDE : NULL,
        .opened = on_work_opened,
        .lost = on_lost,
        .refused = on_refused,
        .context = source,
    };
    char host[64] = "";
    gethostname(host, sizeof(host) - 1);
    snprintf(source->lease.holder, sizeof(source->lease.holder), "%s:%ld:%016" PRIx64, host,
        (long)getpid(), source_random(source));
    source->lease.timer = (struct timer){.fire = on_lease_timer, .context = source};
    source->work = pg_new(source->loop, &settings);
    if (!source->work || source->polling)
        return source->work ? 0 : -ENOMEM;
    if (make_session_setup(source) < 0)
        return -ENOMEM;
    settings.setup = source->lease.session_setup;
    settings.statements = SESSION_STATEMENTS;
    settings.opened = on_session_opened;
    settings.notified = on_notified;
    source->session = pg_new(source->loop, &settings);
    return source->session ? 0 : -ENOMEM;
}

void lease_release(struct source *source)
{
    pg_free(source->session);
    pg_free(source->work);
    source->session = source->work = NULL;
    free(source->lease.idle_limit);
    source->lease.idle_limit = NULL;
}

void lease_open(struct source *source)
{
    if (pg_open(source_first_connection(source)) < 0)
        source_fail(source, "no thread or memory left to connect");
}

void lease_open_work(struct source *source)
{
    if (source->polling)
        source->events->work_opened(source);
    else if (pg_open_beside(source->work, source->session) < 0)
        source_fail(source, "no thread or memory left to connect");
}

void lease_close(struct source *source)
{
    loop_timer_stop(source->loop, &source->lease.timer);
    guard_stop(source);
    source->epoch = 0;
    source->lease.lock_held = false;
    source->lease_until_us = 0;
    pg_close(source->work);
    if (source->session)
        pg_close(source->session);
}

void lease_resign(struct source *source, void (*done)(void *context, const char *sqlstate))
{
    const char *values[] = {source->epoch_text};
    pg_send(source->work, &RESIGN, values, NULL, NULL);
    pg_commit(source->work, done, source);
}
