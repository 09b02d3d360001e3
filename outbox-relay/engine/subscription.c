/* See subscription.h. */
#include "outbox-relay/engine/subscription.h"
#include "outbox-relay/engine/breaker.h"
#include "outbox-relay/engine/lane_queue.h"
#include "outbox-relay/engine/statements.h"
#include "shared/base/cleanup.h"
#include "shared/base/log.h"
#include "shared/base/webhook.h"

#include <errno.h>
#include <string.h>

/* How many reads may be unsettled: while one slow event holds back the stored cursor, the others
 * go on for so long. */
#define MAX_PENDING 64

/* ---- Configuration ---- */

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

static void on_retry_timer(void *context)
{
    struct subscription *subscription = context;
    subscription->retry_due = true;
}

int subscription_configure(struct subscription *s, const PGresult *rows, int row)
{
    bool was_refused = s->url && !s->allowed;
    if (replace_text(&s->url, PQgetvalue(rows, row, SUBSCRIPTION_URL)) < 0 ||
        replace_text(&s->event_types, PQgetvalue(rows, row, SUBSCRIPTION_EVENT_TYPES)) < 0)
        return -ENOMEM;
    s->batch_size = read_int(rows, row, SUBSCRIPTION_BATCH_SIZE);
    s->timeout_ms = read_int(rows, row, SUBSCRIPTION_TIMEOUT_MS);
    s->max_attempts = read_int(rows, row, SUBSCRIPTION_MAX_ATTEMPTS);
    s->retry_base_ms = read_int(rows, row, SUBSCRIPTION_RETRY_BASE_MS);
    s->retry_max_ms = read_int(rows, row, SUBSCRIPTION_RETRY_MAX_MS);
    s->block_on_dead = strcmp(PQgetvalue(rows, row, SUBSCRIPTION_ON_DEAD), "block") == 0;
    const char *state = PQgetvalue(rows, row, SUBSCRIPTION_STATE);
    s->active = strcmp(state, "active") == 0;
    gauge_set(&s->metrics->state, s->active ? 0 : strcmp(state, "paused") == 0 ? 1 : 2);
    s->wanted_in_flight = read_int(rows, row, SUBSCRIPTION_MAX_IN_FLIGHT);
    s->allowed = source_allows(s->source, s->url);
    if (!s->allowed && !was_refused)
        log_warn("the callback's host is not in OUTBOX_RELAY_ALLOW_HOSTS, nothing is sent",
            LOG_TEXT("source", s->source->name), LOG_TEXT("subscription", s->name),
            LOG_TEXT("url", s->url));
    return 0;
}

static struct snapshot *read_snapshot(const PGresult *rows, int row, int column)
{
    return PQgetisnull(rows, row, column) ? NULL : snapshot_parse(PQgetvalue(rows, row, column));
}

static int64_t read_int64(const PGresult *rows, int row, int column)
{
    return strtoll(PQgetvalue(rows, row, column), NULL, 10);
}

/* A replay while this relay knows better than the table how far it is. */
static int set_cursor_back(struct subscription *s, const PGresult *rows, int row)
{
    if (replace_text(&s->generation, PQgetvalue(rows, row, SUBSCRIPTION_GENERATION)) < 0)
        return -ENOMEM;
    cursor_set_back(&s->settled, read_int64(rows, row, SUBSCRIPTION_REPLAY_TO));
    s->cursor_dirty = true;
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
        replace_text(&s->generation, PQgetvalue(rows, row, SUBSCRIPTION_GENERATION)) < 0) {
        cursor_release(&cursor);
        return -EBADMSG;
    }
    cursor_release(&s->settled);
    s->settled = cursor;
    s->cursor_dirty = false;
    return 0;
}

struct subscription *subscription_new(struct source *source, const PGresult *rows, int row)
{
    struct subscription *s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    s->source = source;
    s->blocking_tail = &s->blocking;
    s->retry_timer = (struct timer){.fire = on_retry_timer, .context = s};
    breaker_init(s);
    if (replace_text(&s->name, PQgetvalue(rows, row, SUBSCRIPTION_NAME)) < 0 ||
        !(s->metrics = metrics_of(&source->metrics, s->name)) ||
        subscription_configure(s, rows, row) < 0 || subscription_set_cursor(s, rows, row) < 0 ||
        lanes_resize(s, s->wanted_in_flight) < 0) {
        subscription_free(s);
        return NULL;
    }
    breaker_restore(s, strcmp(PQgetvalue(rows, row, SUBSCRIPTION_BREAKER), "open") == 0);
    return s;
}

static void free_pending(struct pending *pending)
{
    read_result_unref(pending->read);
    free(pending->items);
    cursor_release(&pending->after);
    free(pending);
}

void subscription_free(struct subscription *s)
{
    if (!s)
        return;
    for (int i = 0; i < s->lane_count; i++)
        lane_release(&s->lanes[i]);
    subscription_drop_queue(s);
    loop_timer_stop(s->source->loop, &s->breaker_timer);
    loop_timer_stop(s->source->loop, &s->retry_timer);
    free(s->lanes);
    keyset_release(&s->parked);
    webhook_signer_free(s->signer);
    cursor_release(&s->settled);
    free(s->name);
    free(s->url);
    free(s->event_types);
    free(s->generation);
    free(s);
}

/* ---- Filter ---- */

static bool pattern_matches(const char *pattern, size_t length, struct text type)
{
    if (length == 1 && *pattern == '*')
        return true;
    if (length >= 2 && pattern[length - 1] == '*' && pattern[length - 2] == '.')
        return type.length >= length - 1 && memcmp(pattern, type.data, length - 1) == 0;
    return type.length == length && memcmp(pattern, type.data, length) == 0;
}

bool subscription_wants(const struct subscription *s, struct text type)
{
    const char *pattern = s->event_types;
    for (;;) {
        size_t length = strcspn(pattern, "\n");
        if (pattern_matches(pattern, length, type))
            return true;
        if (pattern[length] == '\0')
            return false;
        pattern += length + 1;
    }
}

/* ---- Queue ---- */

bool subscription_is_full(const struct subscription *s)
{
    return s->parked.count > (size_t)s->source->settings->max_parked_keys;
}

bool subscription_has_room(const struct subscription *s, size_t bytes)
{
    if (s->pending_count >= MAX_PENDING || s->reload || s->gone)
        return false;
    if (subscription_is_full(s))
        return false;
    return s->queued_bytes == 0 || s->queued_bytes + bytes <= source_buffer_share(s->source);
}

bool subscription_may_send_more(const struct subscription *s)
{
    size_t most = (size_t)s->source->settings->buffer_bytes, others = 0;
    if (s->source->sending_bytes < most || s->in_flight == 0)
        return true;
    for (const struct subscription *each = s->source->subscriptions; each; each = each->next)
        others += each != s;
    return s->sending_bytes < most / (others + 1);
}

static struct lane *lane_of(struct subscription *s, const struct event *event)
{
    return &s->lanes[event->key % (uint64_t)s->max_in_flight];
}

/* A read that brought nothing for this subscription only moves its cursor. */
static int take_nothing(struct subscription *s, const struct cursor *after)
{
    if (s->pending_last) {
        cursor_copy(&s->pending_last->after, after);
        return 0;
    }
    bool moved = after->position != s->settled.position;
    cursor_copy(&s->settled, after);
    if (moved)
        s->cursor_dirty = true;
    return 0;
}

static struct pending *new_pending(struct read_result *read, size_t count)
{
    struct pending *pending = calloc(1, sizeof(*pending));
    if (!pending)
        return NULL;
    pending->items = calloc(count, sizeof(struct item));
    if (!pending->items) {
        free(pending);
        return NULL;
    }
    pending->read = read_result_ref(read);
    pending->open = count;
    return pending;
}

/* Marks in `wanted` which events match; returns how many. Runs of one type are the rule. */
static size_t filter(const struct subscription *s, const struct read_result *read, bool *wanted)
{
    struct text type = {0};
    bool wants = false;
    size_t count = 0;
    for (size_t i = 0; i < read->count; i++) {
        struct text own = read->events[i].type;
        if (!type.data || own.length != type.length ||
            memcmp(own.data, type.data, own.length) != 0) {
            type = own;
            wants = subscription_wants(s, type);
        }
        wanted[i] = wants;
        count += wants;
    }
    return count;
}

int subscription_take(struct subscription *s, struct read_result *read, const struct cursor *after)
{
    AUTO_FREE bool *wanted = calloc(read->count + 1, sizeof(*wanted));
    if (!wanted)
        return -ENOMEM;
    size_t count = filter(s, read, wanted);
    if (count == 0)
        return take_nothing(s, after);
    struct pending *pending = new_pending(read, count);
    if (!pending)
        return -ENOMEM;
    cursor_copy(&pending->after, after);
    if (s->pending_last)
        s->pending_last->next = pending;
    else
        s->pending_head = pending;
    s->pending_last = pending;
    s->pending_count++;
    s->queued_bytes += read->bytes;
    struct item *item = pending->items;
    for (size_t i = 0; i < read->count; i++) {
        if (!wanted[i])
            continue;
        item->event = &read->events[i];
        item->pending = pending;
        item->number = ++s->last_number;
        lane_push(lane_of(s, item->event), item);
        item++;
    }
    return 0;
}

int subscription_take_parked(struct subscription *s, struct read_result *read)
{
    struct pending *pending = new_pending(read, read->count);
    if (!pending)
        return -ENOMEM;
    pending->for_parked = true;
    pending->next = s->parked_pending;
    s->parked_pending = pending;
    for (size_t i = 0; i < read->count; i++) {
        struct item *item = &pending->items[i];
        item->event = &read->events[i];
        item->pending = pending;
        lane_push(&s->lanes[s->lane_count - 1], item);
    }
    return 0;
}

/* ---- Settling ---- */

/* A read may be settled up to one of its events: the cursor of a shorter read under the same
 * snapshot. */
void subscription_progress(const struct subscription *s, struct cursor *ret_cursor)
{
    const struct pending *first = s->pending_head;
    cursor_copy(ret_cursor, &s->settled);
    if (first && first->settled > 0)
        cursor_cut(ret_cursor, &first->after, first->items[first->settled - 1].event->id);
}

static void advance_within(struct subscription *s, struct pending *pending)
{
    size_t before = pending->settled;
    while (pending->items[pending->settled].settled)
        pending->settled++;
    if (pending->settled == before)
        return;
    s->cursor_dirty = true;
}

static void advance_settled(struct subscription *s)
{
    while (s->pending_head && s->pending_head->open == 0) {
        struct pending *pending = s->pending_head;
        s->pending_head = pending->next;
        if (!s->pending_head)
            s->pending_last = NULL;
        s->pending_count--;
        cursor_copy(&s->settled, &pending->after);
        s->cursor_dirty = true;
        free_pending(pending);
    }
    if (s->pending_head)
        advance_within(s, s->pending_head);
}

static void forget_parked(struct subscription *s, struct pending *pending)
{
    struct pending **link = &s->parked_pending;
    while (*link != pending)
        link = &(*link)->next;
    *link = pending->next;
    free_pending(pending);
}

void subscription_settle(struct subscription *s, struct item *item)
{
    struct pending *pending = item->pending;
    item->settled = true;
    if (item->number > s->highest_settled)
        s->highest_settled = item->number;
    if (--pending->open > 0) {
        if (pending == s->pending_head)
            advance_within(s, pending);
        return;
    }
    if (!pending->for_parked)
        s->queued_bytes -= pending->read->bytes;
    read_result_unref(pending->read);
    pending->read = NULL;
    free(pending->items);
    pending->items = NULL;
    if (pending->for_parked)
        forget_parked(s, pending);
    else if (pending == s->pending_head)
        advance_settled(s);
}

static void drop_list(struct pending **list)
{
    while (*list) {
        struct pending *pending = *list;
        *list = pending->next;
        free_pending(pending);
    }
}

void subscription_drop_queue(struct subscription *s)
{
    for (int i = 0; i < s->lane_count; i++) {
        struct lane *lane = &s->lanes[i];
        lane->head = lane->sending = NULL;
        lane->tail = &lane->head;
        lane->sending_count = 0;
        lane->suspects = 0;
    }
    s->blocking = NULL;
    s->blocking_tail = &s->blocking;
    s->blocking_count = 0;
    drop_list(&s->pending_head);
    drop_list(&s->parked_pending);
    s->queued_bytes = 0;
    s->pending_last = NULL;
    s->pending_count = 0;
}
