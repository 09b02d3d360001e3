/* See parked_retry.h. */
#include "outbox-relay/engine/parked_retry.h"
#include "outbox-relay/base/backoff.h"
#include "outbox-relay/engine/backlog.h"
#include "outbox-relay/engine/lane_queue.h"
#include "outbox-relay/engine/parked_write.h"
#include "outbox-relay/engine/statements.h"
#include "outbox-relay/postgres/pg_text.h"
#include "shared/db/result.h"

#include <string.h>

/* They are sent one at a time. At least one is read, however large. */
#define PARKED_AT_ONCE 16
#define PARKED_BYTES_AT_ONCE 262144
#define US_PER_MS INT64_C(1000)

/* When ------------------------------------------------------------------------------------------
 */

int64_t parked_retry_wait_ms(struct subscription *s, int attempts)
{
    return retry_wait_ms(
        s->row.retry_base_ms, s->row.retry_max_ms, attempts, source_random(s->source));
}

void parked_retry_after(struct subscription *s, int64_t wait_ms)
{
    int64_t wait_us = wait_ms * US_PER_MS;
    struct loop *loop = s->source->loop;
    if (timer_running(&s->parked_retry.timer) &&
        s->parked_retry.timer.due_us <= loop_now(loop) + wait_us)
        return;
    loop_timer_start(loop, &s->parked_retry.timer, wait_us);
}

void parked_retry_soon(struct subscription *s)
{
    s->parked_retry.due = true;
}

static void on_retry_timer(void *context)
{
    parked_retry_soon(context);
}

void parked_retry_init(struct subscription *s)
{
    s->parked_retry.timer = (struct timer){.fire = on_retry_timer, .context = s};
}

void parked_retry_stop(struct subscription *s)
{
    loop_timer_stop(s->source->loop, &s->parked_retry.timer);
}

/* Outcomes ---------------------------------------------------------------------------------------
 */

/* An operator may have skipped the event meanwhile; then its key was told of that. */
static void on_row_changed(void *context, PGresult *take_result)
{
    AUTO_RESULT PGresult *result = take_result;
    struct parked_write *write = context;
    write->was_there =
        PQresultStatus(result) == PGRES_COMMAND_OK && strcmp(PQcmdTuples(result), "1") == 0;
}

static void on_advanced(void *context, PGresult *take_result)
{
    AUTO_RESULT PGresult *result = take_result;
    struct parked_write *write = context;
    if (PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 1)
        write->advanced = *PQgetvalue(result, 0, 0) == 't';
}

static void advance_key(struct parked_write *write)
{
    const struct event *event = write->item->event;
    const char *values[] = {
        write->subscription->name, event->aggregate_type.data, event->aggregate_id.data};
    pg_send(write->subscription->source->work, &ADVANCE_KEY, values, on_advanced, write);
}

/* The event has left the row of those that hold its key, or goes on holding it. */
static void on_retried(void *context, const char *sqlstate)
{
    struct parked_write *write = context;
    struct subscription *s = write->subscription;
    if (parked_write_done(write, sqlstate)) {
        if (!write->holds && write->was_there) {
            struct keyset_entry *entry = keyset_find(&s->parked, write->key);
            if (entry)
                entry->parked--;
            keyset_remove_if_idle(&s->parked, write->key);
        }
        if (write->advanced)
            s->parked_retry.due = true;
        backlog_settle(s, write->item);
    }
    free(write);
}

void parked_retry_delivered(struct subscription *s, struct item *item)
{
    char id[NUMBER_SIZE];
    const char *values[] = {s->name, number_text(item->event->id, id)};
    struct parked_write *write = parked_write_new(s, item);
    parked_write_fence(s);
    pg_send(s->source->work, &RETRY_DONE, values, on_row_changed, write);
    advance_key(write);
    pg_commit(s->source->work, on_retried, write);
}

static void write_dead(
    struct subscription *s, struct item *item, int attempts_made, int status, const char *error)
{
    char id[NUMBER_SIZE], attempts[NUMBER_SIZE], code[NUMBER_SIZE];
    const char *values[] = {s->name, number_text(item->event->id, id),
        number_text(attempts_made, attempts), number_text(status, code), error};
    struct parked_write *write = parked_write_new(s, item);
    write->holds = s->row.block_on_dead;
    parked_log_dead(s, item->event, attempts_made, error);
    parked_write_fence(s);
    pg_send(s->source->work, &RETRY_DEAD, values, on_row_changed, write);
    advance_key(write);
    pg_commit(s->source->work, on_retried, write);
}

static void write_retry(
    struct subscription *s, struct item *item, int attempts_made, int status, const char *error)
{
    char id[NUMBER_SIZE], attempts[NUMBER_SIZE], wait[NUMBER_SIZE], code[NUMBER_SIZE];
    int64_t wait_ms = parked_retry_wait_ms(s, attempts_made);
    const char *values[] = {s->name, number_text(item->event->id, id),
        number_text(attempts_made, attempts), number_text(wait_ms, wait), number_text(status, code),
        error};
    struct parked_write *write = parked_write_new(s, item);
    write->holds = true;
    parked_retry_after(s, wait_ms);
    parked_write_fence(s);
    pg_send(s->source->work, &RETRY_LATER, values, NULL, NULL);
    pg_commit(s->source->work, on_retried, write);
}

void parked_retry_refused(
    struct subscription *s, struct item *item, int status, const char *error, bool permanent)
{
    char text[ERROR_MAX + 1];
    int attempts = item->event->attempts + 1;
    error_text(error, text);
    if (permanent || attempts >= s->row.max_attempts)
        write_dead(s, item, attempts, status, text);
    else
        write_retry(s, item, attempts, status, text);
}

/* Loading ----------------------------------------------------------------------------------------
 */

static void on_parked_events(void *context, PGresult *take_result)
{
    struct subscription *s = context;
    if (PQresultStatus(take_result) != PGRES_TUPLES_OK || PQntuples(take_result) == 0) {
        PQclear(take_result);
        return;
    }
    struct read_result *read = read_result_new(take_result, NULL);
    if (!read || backlog_take_parked(s, read) < 0)
        s->parked_retry.due = true; /* out of memory: the next turn tries again */
    read_result_unref(read);
}

static void on_next_retry(void *context, PGresult *take_result)
{
    AUTO_RESULT PGresult *result = take_result;
    struct subscription *s = context;
    if (PQresultStatus(result) == PGRES_TUPLES_OK && !PQgetisnull(result, 0, 0))
        parked_retry_after(s, strtoll(PQgetvalue(result, 0, 0), NULL, 10));
}

static void on_parked_loaded(void *context, const char *sqlstate)
{
    struct subscription *s = context;
    s->writes--;
    s->parked_retry.loading = false;
    if (sqlstate)
        source_unit_failed(s->source, sqlstate);
    else
        source_wants_turn(s->source);
}

static void load(struct subscription *s)
{
    struct lane *lane = lane_for_parked(s);
    if (s->parked_retry.loading || s->state != SUBSCRIPTION_ACTIVE || s->phase != PHASE_CURRENT ||
        s->breaker.state == BREAKER_OPEN || lane_has_work(lane))
        return;
    char rows[NUMBER_SIZE], bytes[NUMBER_SIZE];
    const char *values[] = {
        s->name, number_text(PARKED_AT_ONCE, rows), number_text(PARKED_BYTES_AT_ONCE, bytes)};
    s->parked_retry.due = false;
    s->parked_retry.loading = true;
    s->writes++;
    loop_timer_stop(s->source->loop, &s->parked_retry.timer);
    pg_send(s->source->work, &READ_PARKED, values, on_parked_events, s);
    pg_send(s->source->work, &NEXT_RETRY, values, on_next_retry, s);
    pg_commit(s->source->work, on_parked_loaded, s);
}

void parked_retry_unload(struct subscription *s)
{
    struct lane *lane = lane_for_parked(s);
    struct item *next, *item = lane_take_waiting(lane);
    s->parked_retry.unload_due = lane->in_flight;
    for (; item; item = next) {
        next = item->next;
        backlog_settle(s, item);
    }
    parked_retry_soon(s);
}

void parked_retry_answered(struct subscription *s)
{
    if (s->parked_retry.unload_due)
        parked_retry_unload(s);
}

void parked_retry_turn(struct subscription *s)
{
    if (s->parked_retry.due)
        load(s);
}
