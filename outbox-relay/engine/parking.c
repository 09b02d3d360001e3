/* See parking.h. */
#include "outbox-relay/engine/parking.h"
#include "outbox-relay/base/backoff.h"
#include "outbox-relay/base/buffer.h"
#include "outbox-relay/engine/lane_queue.h"
#include "outbox-relay/engine/parked_count.h"
#include "outbox-relay/engine/statements.h"
#include "outbox-relay/engine/subscription.h"
#include "outbox-relay/postgres/pg_text.h"
#include "shared/base/log.h"
#include "shared/base/uuid.h"
#include "shared/db/result.h"

#include <string.h>

#define BLOCK_AT_ONCE 1000
/* They are sent one at a time. At least one is read, however large. */
#define PARKED_AT_ONCE 16
#define PARKED_BYTES_AT_ONCE 262144
#define US_PER_MS INT64_C(1000)

static void fence_parked(struct subscription *s)
{
    const char *values[] = {s->source->epoch_text, s->name};
    pg_send(s->source->work, &FENCE_PARKED, values, NULL, NULL);
}

/* The end is told when a tenth of the limit is free: one key more or less is no news. */
void parking_tell_full(struct subscription *s)
{
    size_t limit = (size_t)s->source->settings->max_parked_keys;
    if (!s->full_told && subscription_is_full(s)) {
        s->full_told = true;
        log_warn("too many keys are parked, no more events are read",
            LOG_TEXT("source", s->source->name), LOG_TEXT("subscription", s->name),
            LOG_INT("keys", (int64_t)s->parked.count), LOG_INT("limit", (int64_t)limit));
    } else if (s->full_told && s->parked.count <= limit - limit / 10) {
        s->full_told = false;
        log_info("fewer keys are parked, reading goes on", LOG_TEXT("source", s->source->name),
            LOG_TEXT("subscription", s->name), LOG_INT("keys", (int64_t)s->parked.count));
    }
}

/* An event on its way into, or out of, outbox.delivery. */
struct parking {
    struct subscription *subscription;
    struct item *item;
    uint64_t key;
    bool holds;     /* the key is held back from now on */
    bool was_there; /* the row that was to be changed */
    bool advanced;  /* the next event of the key is due */
};

static struct parking *parking_new(struct subscription *s, struct item *item)
{
    struct parking *parking = calloc(1, sizeof(*parking));
    if (!parking)
        abort(); /* some bytes, and the event must not be forgotten */
    parking->subscription = s;
    parking->item = item;
    parking->key = item->event->key;
    s->writes++;
    return parking;
}

/* Common end of every write about one event; false when it failed, which ends the leadership. */
static bool parking_done(struct parking *parking, const char *sqlstate)
{
    struct subscription *s = parking->subscription;
    s->writes--;
    if (sqlstate) {
        source_write_failed(s->source, sqlstate);
        return false;
    }
    parked_count_soon(s->source);
    source_wants_turn(s->source);
    return true;
}

static void on_parked(void *context, const char *sqlstate)
{
    struct parking *parking = context;
    struct subscription *s = parking->subscription;
    if (parking_done(parking, sqlstate)) {
        if (parking->holds) {
            struct keyset_entry *entry = keyset_add(&s->parked, parking->key);
            entry->parking--;
            entry->parked++;
        }
        subscription_settle(s, parking->item);
    }
    free(parking);
}

static void schedule_retry(struct subscription *s, int64_t wait_ms)
{
    int64_t wait_us = wait_ms * US_PER_MS;
    struct loop *loop = s->source->loop;
    if (timer_running(&s->retry_timer) && s->retry_timer.due_us <= loop_now(loop) + wait_us)
        return;
    loop_timer_start(loop, &s->retry_timer, wait_us);
}

static int64_t next_wait(struct subscription *s, int attempts)
{
    return retry_wait_ms(s->retry_base_ms, s->retry_max_ms, attempts, source_random(s->source));
}

static void log_dead(
    const struct subscription *s, const struct event *event, int attempts, const char *error)
{
    char id[37] = {0};
    uuid_write(event->uuid, id);
    log_warn("event is dead", LOG_TEXT("source", s->source->name),
        LOG_TEXT("subscription", s->name), LOG_TEXT("event_id", id), LOG_INT("attempts", attempts),
        LOG_TEXT("error", error));
}

void parking_begin(
    struct subscription *s, struct item *item, int status, const char *error, bool permanent)
{
    char id[NUMBER_SIZE], attempts[NUMBER_SIZE], wait[NUMBER_SIZE], code[NUMBER_SIZE];
    char text[ERROR_MAX + 1];
    int count = status == 0 ? item->own_crashes : 1;
    bool dead = permanent || count >= s->max_attempts;
    int64_t wait_ms = next_wait(s, count);
    error_text(error, text);
    const char *values[] = {s->name, number_text(item->event->id, id), number_text(count, attempts),
        dead ? NULL : number_text(wait_ms, wait), number_text(status, code), text};

    struct parking *parking = parking_new(s, item);
    parking->holds = !dead || s->block_on_dead;
    if (parking->holds)
        keyset_add(&s->parked, item->event->key)->parking++;
    if (dead)
        log_dead(s, item->event, count, text);
    else
        schedule_retry(s, wait_ms);
    fence_parked(s);
    pg_send(s->source->work, &PARK_REFUSED, values, NULL, NULL);
    pg_commit(s->source->work, on_parked, parking);
}

/* Behind a parked event
 * ----------------------------------------------------------------------------
 */

struct blocking {
    struct subscription *subscription;
    struct item *items;
    int64_t parked; /* rows that were not there yet */
};

static void on_block_result(void *context, PGresult *take_result)
{
    AUTO_RESULT PGresult *result = take_result;
    struct blocking *blocking = context;
    if (PQresultStatus(result) != PGRES_TUPLES_OK || PQntuples(result) != 1)
        return;
    blocking->parked = strtoll(PQgetvalue(result, 0, 0), NULL, 10);
    if (strtoll(PQgetvalue(result, 0, 1), NULL, 10) > 0)
        blocking->subscription->retry_due = true;
}

/* They count as parked; should some have been parked before, all are counted anew. */
static void note_blocked(struct blocking *blocking)
{
    struct subscription *s = blocking->subscription;
    struct item *next;
    int64_t count = 0;
    for (struct item *item = blocking->items; item; item = next, count++) {
        next = item->next;
        struct keyset_entry *entry = keyset_add(&s->parked, item->event->key);
        entry->parking--;
        entry->parked++;
        subscription_settle(s, item);
    }
    if (count != blocking->parked)
        source_wants_reload(s->source);
}

static void on_blocked(void *context, const char *sqlstate)
{
    struct blocking *blocking = context;
    struct subscription *s = blocking->subscription;
    s->writes--;
    s->blocking_in_flight = false;
    if (sqlstate) {
        source_write_failed(s->source, sqlstate);
    } else {
        note_blocked(blocking);
        parked_count_soon(s->source);
        source_wants_turn(s->source);
    }
    free(blocking);
}

void parking_behind(struct subscription *s, struct item *item)
{
    keyset_add(&s->parked, item->event->key)->parking++;
    item->next = NULL;
    *s->blocking_tail = item;
    s->blocking_tail = &item->next;
    s->blocking_count++;
    source_wants_turn(s->source);
}

/* Takes the first events of the list off, and writes their ids as an array. */
static struct item *take_blocked(struct subscription *s, struct buffer *ids)
{
    struct item *first = s->blocking, *last = first;
    char id[NUMBER_SIZE];
    BUFFER_ADD(ids, "{");
    for (int count = 1;; count++) {
        number_text(last->event->id, id);
        buffer_add(ids, id, strlen(id));
        s->blocking_count--;
        if (!last->next || count == BLOCK_AT_ONCE)
            break;
        BUFFER_ADD(ids, ",");
        last = last->next;
    }
    buffer_add(ids, "}", 2);
    s->blocking = last->next;
    if (!s->blocking)
        s->blocking_tail = &s->blocking;
    last->next = NULL;
    return first;
}

void parking_write_behind(struct subscription *s)
{
    if (!s->blocking || s->blocking_in_flight || s->reload)
        return;
    struct blocking *blocking = calloc(1, sizeof(*blocking));
    struct buffer ids = {0};
    if (!blocking)
        abort();
    blocking->subscription = s;
    blocking->items = take_blocked(s, &ids);
    if (ids.failed)
        abort();
    s->blocking_in_flight = true;
    s->writes++;
    const char *values[] = {s->name, ids.data};
    fence_parked(s);
    pg_send(s->source->work, &PARK_BLOCKED, values, on_block_result, blocking);
    pg_commit(s->source->work, on_blocked, blocking);
    buffer_release(&ids);
}

/* ---- Parked events ---- */

/* An operator may have skipped the event meanwhile; then its key was told of that. */
static void on_row_changed(void *context, PGresult *take_result)
{
    AUTO_RESULT PGresult *result = take_result;
    struct parking *parking = context;
    parking->was_there =
        PQresultStatus(result) == PGRES_COMMAND_OK && strcmp(PQcmdTuples(result), "1") == 0;
}

static void on_advanced(void *context, PGresult *take_result)
{
    AUTO_RESULT PGresult *result = take_result;
    struct parking *parking = context;
    if (PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 1)
        parking->advanced = *PQgetvalue(result, 0, 0) == 't';
}

static void advance_key(struct parking *parking)
{
    const struct event *event = parking->item->event;
    const char *values[] = {
        parking->subscription->name, event->aggregate_type.data, event->aggregate_id.data};
    pg_send(parking->subscription->source->work, &ADVANCE_KEY, values, on_advanced, parking);
}

/* The event has left the row of those that hold its key, or goes on holding it. */
static void on_retried(void *context, const char *sqlstate)
{
    struct parking *parking = context;
    struct subscription *s = parking->subscription;
    if (parking_done(parking, sqlstate)) {
        if (!parking->holds && parking->was_there) {
            struct keyset_entry *entry = keyset_find(&s->parked, parking->key);
            if (entry)
                entry->parked--;
            keyset_remove_if_idle(&s->parked, parking->key);
        }
        if (parking->advanced)
            s->retry_due = true;
        subscription_settle(s, parking->item);
    }
    free(parking);
}

void parking_delivered(struct subscription *s, struct item *item)
{
    char id[NUMBER_SIZE];
    const char *values[] = {s->name, number_text(item->event->id, id)};
    struct parking *parking = parking_new(s, item);
    fence_parked(s);
    pg_send(s->source->work, &RETRY_DONE, values, on_row_changed, parking);
    advance_key(parking);
    pg_commit(s->source->work, on_retried, parking);
}

static void write_dead(
    struct subscription *s, struct item *item, int attempts_made, int status, const char *error)
{
    char id[NUMBER_SIZE], attempts[NUMBER_SIZE], code[NUMBER_SIZE];
    const char *values[] = {s->name, number_text(item->event->id, id),
        number_text(attempts_made, attempts), number_text(status, code), error};
    struct parking *parking = parking_new(s, item);
    parking->holds = s->block_on_dead;
    log_dead(s, item->event, attempts_made, error);
    fence_parked(s);
    pg_send(s->source->work, &RETRY_DEAD, values, on_row_changed, parking);
    advance_key(parking);
    pg_commit(s->source->work, on_retried, parking);
}

static void write_retry(
    struct subscription *s, struct item *item, int attempts_made, int status, const char *error)
{
    char id[NUMBER_SIZE], attempts[NUMBER_SIZE], wait[NUMBER_SIZE], code[NUMBER_SIZE];
    int64_t wait_ms = next_wait(s, attempts_made);
    const char *values[] = {s->name, number_text(item->event->id, id),
        number_text(attempts_made, attempts), number_text(wait_ms, wait), number_text(status, code),
        error};
    struct parking *parking = parking_new(s, item);
    parking->holds = true;
    schedule_retry(s, wait_ms);
    fence_parked(s);
    pg_send(s->source->work, &RETRY_LATER, values, NULL, NULL);
    pg_commit(s->source->work, on_retried, parking);
}

void parking_refused(
    struct subscription *s, struct item *item, int status, const char *error, bool permanent)
{
    char text[ERROR_MAX + 1];
    int attempts = item->event->attempts + 1;
    error_text(error, text);
    if (permanent || attempts >= s->max_attempts)
        write_dead(s, item, attempts, status, text);
    else
        write_retry(s, item, attempts, status, text);
}

static void on_parked_events(void *context, PGresult *take_result)
{
    struct subscription *s = context;
    if (PQresultStatus(take_result) != PGRES_TUPLES_OK || PQntuples(take_result) == 0) {
        PQclear(take_result);
        return;
    }
    struct read_result *read = read_result_new(take_result, NULL);
    if (!read || subscription_take_parked(s, read) < 0)
        s->retry_due = true; /* out of memory: the next turn tries again */
    read_result_unref(read);
}

static void on_next_retry(void *context, PGresult *take_result)
{
    AUTO_RESULT PGresult *result = take_result;
    struct subscription *s = context;
    if (PQresultStatus(result) == PGRES_TUPLES_OK && !PQgetisnull(result, 0, 0))
        schedule_retry(s, strtoll(PQgetvalue(result, 0, 0), NULL, 10));
}

static void on_parked_loaded(void *context, const char *sqlstate)
{
    struct subscription *s = context;
    s->writes--;
    s->retry_loading = false;
    if (sqlstate)
        source_write_failed(s->source, sqlstate);
    else
        source_wants_turn(s->source);
}

void parking_unload(struct subscription *s)
{
    struct lane *lane = &s->lanes[s->lane_count - 1];
    struct item *next, *item = lane_take_waiting(lane);
    s->unload_due = lane->in_flight;
    for (; item; item = next) {
        next = item->next;
        subscription_settle(s, item);
    }
    s->retry_due = true;
}

void parking_load(struct subscription *s)
{
    struct lane *lane = &s->lanes[s->lane_count - 1];
    if (s->retry_loading || !s->active || s->reload || s->gone || s->breaker == BREAKER_OPEN ||
        lane_has_work(lane))
        return;
    char rows[NUMBER_SIZE], bytes[NUMBER_SIZE];
    const char *values[] = {
        s->name, number_text(PARKED_AT_ONCE, rows), number_text(PARKED_BYTES_AT_ONCE, bytes)};
    s->retry_due = false;
    s->retry_loading = true;
    s->writes++;
    loop_timer_stop(s->source->loop, &s->retry_timer);
    pg_send(s->source->work, &READ_PARKED, values, on_parked_events, s);
    pg_send(s->source->work, &NEXT_RETRY, values, on_next_retry, s);
    pg_commit(s->source->work, on_parked_loaded, s);
}
