/* See subscription.h. */
#include "outbox-relay/engine/subscription.h"
#include "outbox-relay/engine/backlog.h"
#include "outbox-relay/engine/breaker.h"
#include "outbox-relay/engine/lane_queue.h"
#include "outbox-relay/engine/parked_retry.h"
#include "outbox-relay/engine/parking.h"
#include "outbox-relay/engine/statements.h"
#include "shared/base/log.h"
#include "shared/base/webhook.h"

#include <errno.h>
#include <string.h>

/* How many reads may be unsettled: while one slow event holds back the stored cursor, the others
 * go on for so long. */
#define MAX_PENDING 64

/* State ------------------------------------------------------------------------------------------
 */

void subscription_set_state(struct subscription *s, enum subscription_state state)
{
    static const char *const NAMES[] = {"active", "paused", "disabled"};
    if (s->state != state)
        log_debug("subscription", LOG_TEXT("source", s->source->name),
            LOG_TEXT("subscription", s->name), LOG_TEXT("state", NAMES[state]),
            LOG_TEXT("before", NAMES[s->state]));
    s->state = state;
    gauge_set(&s->metrics->state, state);
}

void subscription_set_phase(struct subscription *s, enum subscription_phase phase)
{
    static const char *const NAMES[] = {"current", "outdated", "deleted"};
    if (s->phase == phase)
        return;
    log_debug("subscription", LOG_TEXT("source", s->source->name),
        LOG_TEXT("subscription", s->name), LOG_TEXT("phase", NAMES[phase]),
        LOG_TEXT("before", NAMES[s->phase]));
    s->phase = phase;
}

/* Row --------------------------------------------------------------------------------------------
 */

static int replace_text(char **field, const char *value)
{
    if (*field && strcmp(*field, value) == 0)
        return 0;
    char *copy = strdup(value);
    if (!copy)
        return -ENOMEM;
    free(*field);
    *field = copy;
    return 0;
}

static int read_int(const PGresult *rows, int row, int column)
{
    return (int)strtol(PQgetvalue(rows, row, column), NULL, 10);
}

static enum subscription_state read_state(const char *text)
{
    if (strcmp(text, "active") == 0)
        return SUBSCRIPTION_ACTIVE;
    return strcmp(text, "paused") == 0 ? SUBSCRIPTION_PAUSED : SUBSCRIPTION_DISABLED;
}

int subscription_configure(struct subscription *s, const PGresult *rows, int row)
{
    bool was_refused = s->row.url && !s->allowed;
    if (replace_text(&s->row.url, PQgetvalue(rows, row, SUBSCRIPTION_URL)) < 0 ||
        replace_text(&s->row.event_types, PQgetvalue(rows, row, SUBSCRIPTION_EVENT_TYPES)) < 0)
        return -ENOMEM;
    s->row.batch_size = read_int(rows, row, SUBSCRIPTION_BATCH_SIZE);
    s->row.timeout_ms = read_int(rows, row, SUBSCRIPTION_TIMEOUT_MS);
    s->row.max_attempts = read_int(rows, row, SUBSCRIPTION_MAX_ATTEMPTS);
    s->row.retry_base_ms = read_int(rows, row, SUBSCRIPTION_RETRY_BASE_MS);
    s->row.retry_max_ms = read_int(rows, row, SUBSCRIPTION_RETRY_MAX_MS);
    s->row.block_on_dead = strcmp(PQgetvalue(rows, row, SUBSCRIPTION_ON_DEAD), "block") == 0;
    subscription_set_state(s, read_state(PQgetvalue(rows, row, SUBSCRIPTION_STATE)));
    s->row.max_in_flight = read_int(rows, row, SUBSCRIPTION_MAX_IN_FLIGHT);
    s->allowed = source_allows(s->source, s->row.url);
    if (!s->allowed && !was_refused)
        log_warn("callback host is not in OUTBOX_RELAY_ALLOW_HOSTS; nothing is sent",
            LOG_TEXT("source", s->source->name), LOG_TEXT("subscription", s->name),
            LOG_TEXT("url", s->row.url));
    return 0;
}

static int64_t read_int64(const PGresult *rows, int row, int column)
{
    return strtoll(PQgetvalue(rows, row, column), NULL, 10);
}

static struct snapshot *read_snapshot(const PGresult *rows, int row, int column)
{
    struct snapshot *snapshot =
        PQgetisnull(rows, row, column) ? NULL : snapshot_parse(PQgetvalue(rows, row, column));
    if (snapshot)
        snapshot->taken_us = read_int64(rows, row, SUBSCRIPTION_SETTLED_AT);
    return snapshot;
}

/* A replay while this relay knows better than the table how far it is. */
static int set_cursor_back(struct subscription *s, const PGresult *rows, int row)
{
    if (replace_text(&s->row.generation, PQgetvalue(rows, row, SUBSCRIPTION_GENERATION)) < 0)
        return -ENOMEM;
    cursor_set_back(&s->settled, read_int64(rows, row, SUBSCRIPTION_REPLAY_TO));
    s->cursor_moved = true;
    return 0;
}

int subscription_set_cursor(struct subscription *s, const PGresult *rows, int row)
{
    if (s->settled.snapshot && !PQgetisnull(rows, row, SUBSCRIPTION_REPLAY_TO))
        return set_cursor_back(s, rows, row);
    struct cursor cursor = {
        .position = read_int64(rows, row, SUBSCRIPTION_POSITION),
        .floor = read_int64(rows, row, SUBSCRIPTION_FLOOR),
        .deep_floor = read_int64(rows, row, SUBSCRIPTION_DEEP_FLOOR),
        .snapshot = read_snapshot(rows, row, SUBSCRIPTION_SNAPSHOT),
        .late_position = read_int64(rows, row, SUBSCRIPTION_LATE_POSITION),
        .late_snapshot = read_snapshot(rows, row, SUBSCRIPTION_LATE_SNAPSHOT),
    };
    if (!cursor.snapshot ||
        (!cursor.late_snapshot && !PQgetisnull(rows, row, SUBSCRIPTION_LATE_SNAPSHOT)) ||
        replace_text(&s->row.generation, PQgetvalue(rows, row, SUBSCRIPTION_GENERATION)) < 0) {
        cursor_release(&cursor);
        return -EBADMSG;
    }
    cursor_release(&s->settled);
    s->settled = cursor;
    s->cursor_moved = false;
    return 0;
}

/* Life -------------------------------------------------------------------------------------------
 */

struct subscription *subscription_new(struct source *source, const PGresult *rows, int row)
{
    struct subscription *s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    s->source = source;
    parking_init(s);
    parked_retry_init(s);
    breaker_init(s);
    if (replace_text(&s->name, PQgetvalue(rows, row, SUBSCRIPTION_NAME)) < 0 ||
        !(s->metrics = metrics_of(&source->metrics, s->name)) ||
        subscription_configure(s, rows, row) < 0 || subscription_set_cursor(s, rows, row) < 0 ||
        lanes_resize(s, s->row.max_in_flight) < 0) {
        subscription_free(s);
        return NULL;
    }
    breaker_restore(s, strcmp(PQgetvalue(rows, row, SUBSCRIPTION_BREAKER), "open") == 0);
    return s;
}

void subscription_drop_events(struct subscription *s)
{
    lanes_empty(s);
    parking_drop(s);
    backlog_drop(s);
}

void subscription_free(struct subscription *s)
{
    if (!s)
        return;
    for (int i = 0; i < s->lanes.count; i++)
        lane_release(&s->lanes.list[i]);
    subscription_drop_events(s);
    parked_retry_stop(s);
    keyset_release(&s->parked);
    breaker_stop(s);
    free(s->lanes.list);
    webhook_signer_free(s->signing.signer);
    cursor_release(&s->settled);
    free(s->name);
    free(s->row.url);
    free(s->row.event_types);
    free(s->row.generation);
    free(s);
}

/* Room -------------------------------------------------------------------------------------------
 */

bool subscription_has_room(const struct subscription *s, size_t bytes)
{
    if (s->backlog.count >= MAX_PENDING || s->phase != PHASE_CURRENT)
        return false;
    if (subscription_is_full(s))
        return false;
    return s->backlog.bytes == 0 || s->backlog.bytes + bytes <= source_buffer_share(s->source);
}

bool subscription_may_send_more(const struct subscription *s)
{
    size_t most = (size_t)s->source->settings->buffer_bytes, others = 0;
    if (s->source->sending_bytes < most || s->lanes.in_flight == 0)
        return true;
    for (const struct subscription *each = s->source->subscriptions; each; each = each->next)
        others += each != s;
    return s->lanes.sending_bytes < most / (others + 1);
}
