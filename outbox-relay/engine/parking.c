/* See parking.h. */
#include "outbox-relay/engine/parking.h"
#include "outbox-relay/engine/backlog.h"
#include "outbox-relay/engine/parked_count.h"
#include "outbox-relay/engine/parked_retry.h"
#include "outbox-relay/engine/parked_write.h"
#include "outbox-relay/engine/statements.h"
#include "outbox-relay/postgres/pg_text.h"
#include "shared/base/log.h"
#include "shared/base/uuid.h"
#include "shared/db/result.h"

#include <string.h>

#define BLOCK_AT_ONCE 1000

static void on_parked(void *context, const char *sqlstate)
{
    struct parked_write *write = context;
    struct subscription *s = write->subscription;
    if (parked_write_done(write, sqlstate)) {
        if (write->holds) {
            struct keyset_entry *entry = keyset_add(&s->parked, write->key);
            entry->parking--;
            entry->parked++;
        }
        backlog_settle(s, write->item);
    }
    free(write);
}

void parking_begin(
    struct subscription *s, struct item *item, int status, const char *error, bool permanent)
{
    char id[NUMBER_SIZE], attempts[NUMBER_SIZE], wait[NUMBER_SIZE], code[NUMBER_SIZE];
    char text[ERROR_MAX + 1];
    int count = status == 0 ? item->own_crashes : 1;
    bool dead = permanent || count >= s->row.max_attempts;
    int64_t wait_ms = parked_retry_wait_ms(s, count);
    error_text(error, text);
    const char *values[] = {s->name, number_text(item->event->id, id), number_text(count, attempts),
        dead ? NULL : number_text(wait_ms, wait), number_text(status, code), text};

    struct parked_write *write = parked_write_new(s, item);
    write->holds = !dead || s->row.block_on_dead;
    if (write->holds)
        keyset_add(&s->parked, item->event->key)->parking++;
    if (dead)
        parked_log_dead(s, item->event, count, text);
    else
        parked_retry_after(s, wait_ms);
    parked_write_fence(s);
    pg_send(s->source->work, &PARK_REFUSED, values, NULL, NULL);
    pg_commit(s->source->work, on_parked, write);
}

/* Behind a parked event
 * ----------------------------------------------------------------------------
 */

struct blocked_write {
    struct subscription *subscription;
    struct item *items;
    int64_t parked; /* rows that were not there yet */
};

static void on_block_result(void *context, PGresult *take_result)
{
    AUTO_RESULT PGresult *result = take_result;
    struct blocked_write *write = context;
    if (PQresultStatus(result) != PGRES_TUPLES_OK || PQntuples(result) != 1)
        return;
    write->parked = strtoll(PQgetvalue(result, 0, 0), NULL, 10);
    if (strtoll(PQgetvalue(result, 0, 1), NULL, 10) > 0)
        parked_retry_soon(write->subscription);
}

/* They count as parked; should some have been parked before, all are counted anew. */
static void note_blocked(struct blocked_write *write)
{
    struct subscription *s = write->subscription;
    struct item *next;
    int64_t count = 0;
    for (struct item *item = write->items; item; item = next, count++) {
        next = item->next;
        struct keyset_entry *entry = keyset_add(&s->parked, item->event->key);
        entry->parking--;
        entry->parked++;
        backlog_settle(s, item);
    }
    if (count != write->parked)
        source_wants_reload(s->source);
}

static void on_blocked(void *context, const char *sqlstate)
{
    struct blocked_write *write = context;
    struct subscription *s = write->subscription;
    s->writes--;
    s->parking.blocked_in_flight = false;
    if (sqlstate) {
        source_unit_failed(s->source, sqlstate);
    } else {
        note_blocked(write);
        parked_count_soon(s->source);
        source_wants_turn(s->source);
    }
    free(write);
}

void parking_behind(struct subscription *s, struct item *item)
{
    keyset_add(&s->parked, item->event->key)->parking++;
    item->next = NULL;
    *s->parking.blocked_tail = item;
    s->parking.blocked_tail = &item->next;
    source_wants_turn(s->source);
}

/* Takes the first events of the list off, and writes their ids as an array. */
static struct item *take_blocked(struct subscription *s, struct buffer *ids)
{
    struct item *first = s->parking.blocked, *last = first;
    char id[NUMBER_SIZE];
    BUFFER_ADD(ids, "{");
    for (int count = 1;; count++) {
        number_text(last->event->id, id);
        buffer_add(ids, id, strlen(id));
        if (!last->next || count == BLOCK_AT_ONCE)
            break;
        BUFFER_ADD(ids, ",");
        last = last->next;
    }
    buffer_add(ids, "}", 2);
    s->parking.blocked = last->next;
    if (!s->parking.blocked)
        s->parking.blocked_tail = &s->parking.blocked;
    last->next = NULL;
    return first;
}

void parking_write_behind(struct subscription *s)
{
    if (!s->parking.blocked || s->parking.blocked_in_flight || s->phase != PHASE_CURRENT)
        return;
    struct blocked_write *write = calloc(1, sizeof(*write));
    struct buffer ids = {0};
    if (!write)
        abort();
    write->subscription = s;
    write->items = take_blocked(s, &ids);
    if (ids.failed)
        abort();
    s->parking.blocked_in_flight = true;
    s->writes++;
    const char *values[] = {s->name, ids.data};
    parked_write_fence(s);
    pg_send(s->source->work, &PARK_BLOCKED, values, on_block_result, write);
    pg_commit(s->source->work, on_blocked, write);
    buffer_release(&ids);
}

/* Life -------------------------------------------------------------------------------------------
 */

/* The end is told when a tenth of the limit is free: one key more or less is no news. */
static void tell_full(struct subscription *s)
{
    size_t limit = (size_t)s->source->settings->max_parked_keys;
    if (!s->parking.full_told && subscription_is_full(s)) {
        s->parking.full_told = true;
        log_warn("too many parked keys; reading has stopped", LOG_TEXT("source", s->source->name),
            LOG_TEXT("subscription", s->name), LOG_INT("keys", (int64_t)s->parked.count),
            LOG_INT("limit", (int64_t)limit));
    } else if (s->parking.full_told && s->parked.count <= limit - limit / 10) {
        s->parking.full_told = false;
        log_info("fewer parked keys; reading has resumed", LOG_TEXT("source", s->source->name),
            LOG_TEXT("subscription", s->name), LOG_INT("keys", (int64_t)s->parked.count));
    }
}

void parking_turn(struct subscription *s)
{
    parking_write_behind(s);
    tell_full(s);
}

void parking_init(struct subscription *s)
{
    s->parking.blocked_tail = &s->parking.blocked;
}

void parking_drop(struct subscription *s)
{
    for (const struct item *item = s->parking.blocked; item; item = item->next) {
        keyset_add(&s->parked, item->event->key)->parking--;
        keyset_remove_if_idle(&s->parked, item->event->key);
    }
    s->parking.blocked = NULL;
    s->parking.blocked_tail = &s->parking.blocked;
}
