/* See backlog.h. */
#include "outbox-relay/engine/backlog.h"
#include "outbox-relay/engine/filter.h"
#include "outbox-relay/engine/lane_queue.h"
#include "shared/base/cleanup.h"

#include <errno.h>
#include <string.h>

static void free_pending(struct pending *pending)
{
    read_result_unref(pending->read);
    free(pending->items);
    cursor_release(&pending->after);
    free(pending);
}

static struct lane *lane_of(struct subscription *s, const struct event *event)
{
    return &s->lanes.list[event->key % (uint64_t)(s->lanes.count - 1)];
}

/* A read that brought nothing for this subscription only moves its cursor. */
static int take_nothing(struct subscription *s, const struct cursor *after)
{
    if (s->backlog.last) {
        cursor_copy(&s->backlog.last->after, after);
        return 0;
    }
    bool moved = after->position != s->settled.position;
    cursor_copy(&s->settled, after);
    if (moved)
        s->cursor_moved = true;
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
static size_t mark_matching(
    const struct subscription *s, const struct read_result *read, bool *wanted)
{
    struct text type = {0};
    bool wants = false;
    size_t count = 0;
    for (size_t i = 0; i < read->count; i++) {
        struct text own = read->events[i].type;
        if (!type.data || own.length != type.length ||
            memcmp(own.data, type.data, own.length) != 0) {
            type = own;
            wants = filter_matches(s->row.event_types, type);
        }
        wanted[i] = wants;
        count += wants;
    }
    return count;
}

int backlog_take(struct subscription *s, struct read_result *read, const struct cursor *after)
{
    AUTO_FREE bool *wanted = calloc(read->count + 1, sizeof(*wanted));
    if (!wanted)
        return -ENOMEM;
    size_t count = mark_matching(s, read, wanted);
    if (count == 0)
        return take_nothing(s, after);
    struct pending *pending = new_pending(read, count);
    if (!pending)
        return -ENOMEM;
    cursor_copy(&pending->after, after);
    if (s->backlog.last)
        s->backlog.last->next = pending;
    else
        s->backlog.head = pending;
    s->backlog.last = pending;
    s->backlog.count++;
    s->backlog.bytes += read->bytes;
    struct item *item = pending->items;
    for (size_t i = 0; i < read->count; i++) {
        if (!wanted[i])
            continue;
        item->event = &read->events[i];
        item->pending = pending;
        item->number = ++s->backlog.last_number;
        lane_push(lane_of(s, item->event), item);
        item++;
    }
    return 0;
}

int backlog_take_parked(struct subscription *s, struct read_result *read)
{
    struct pending *pending = new_pending(read, read->count);
    if (!pending)
        return -ENOMEM;
    pending->for_parked = true;
    pending->next = s->backlog.parked;
    s->backlog.parked = pending;
    for (size_t i = 0; i < read->count; i++) {
        struct item *item = &pending->items[i];
        item->event = &read->events[i];
        item->pending = pending;
        lane_push(lane_for_parked(s), item);
    }
    return 0;
}

/* Settling ---------------------------------------------------------------------------------------
 */

/* A read may be settled up to one of its events: the cursor of a shorter read under the same
 * snapshot. */
void backlog_progress(const struct subscription *s, struct cursor *ret_cursor)
{
    const struct pending *first = s->backlog.head;
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
    s->cursor_moved = true;
}

static void advance_settled(struct subscription *s)
{
    while (s->backlog.head && s->backlog.head->open == 0) {
        struct pending *pending = s->backlog.head;
        s->backlog.head = pending->next;
        if (!s->backlog.head)
            s->backlog.last = NULL;
        s->backlog.count--;
        cursor_copy(&s->settled, &pending->after);
        s->cursor_moved = true;
        free_pending(pending);
    }
    if (s->backlog.head)
        advance_within(s, s->backlog.head);
}

static void forget_parked(struct subscription *s, struct pending *pending)
{
    struct pending **link = &s->backlog.parked;
    while (*link != pending)
        link = &(*link)->next;
    *link = pending->next;
    free_pending(pending);
}

void backlog_settle(struct subscription *s, struct item *item)
{
    struct pending *pending = item->pending;
    item->settled = true;
    if (item->number > s->backlog.highest_settled)
        s->backlog.highest_settled = item->number;
    if (--pending->open > 0) {
        if (pending == s->backlog.head)
            advance_within(s, pending);
        return;
    }
    if (!pending->for_parked)
        s->backlog.bytes -= pending->read->bytes;
    read_result_unref(pending->read);
    pending->read = NULL;
    free(pending->items);
    pending->items = NULL;
    if (pending->for_parked)
        forget_parked(s, pending);
    else if (pending == s->backlog.head)
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

void backlog_drop(struct subscription *s)
{
    drop_list(&s->backlog.head);
    drop_list(&s->backlog.parked);
    s->backlog.bytes = 0;
    s->backlog.last = NULL;
    s->backlog.count = 0;
}
