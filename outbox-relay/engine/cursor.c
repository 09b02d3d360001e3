/* See cursor.h. */
#include "outbox-relay/engine/cursor.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* A range of so few ids is scanned rather than probed for each running transaction. */
#define SCAN_RATHER_THAN_PROBE 500

/* Snapshots --------------------------------------------------------------------------------------
 */

struct snapshot *snapshot_parse(const char *text)
{
    char *end;
    errno = 0;
    uint64_t xmin = strtoull(text, &end, 10);
    if (errno || end == text || *end != ':')
        return NULL;
    const char *second = end + 1;
    uint64_t xmax = strtoull(second, &end, 10);
    if (errno || end == second || *end != ':')
        return NULL;
    const char *running = end + 1;
    size_t length = strlen(text);
    struct snapshot *snapshot = malloc(sizeof(*snapshot) + length + 1);
    if (!snapshot)
        return NULL;
    memcpy(snapshot->text, text, length + 1);
    snapshot->refs = 1;
    snapshot->taken_us = 0;
    snapshot->xmin = xmin;
    snapshot->xmax = xmax;
    snapshot->none_running = *running == '\0';
    if (asprintf(&snapshot->running, "{%s}", running) < 0) {
        free(snapshot);
        return NULL;
    }
    return snapshot;
}

static struct snapshot *snapshot_ref(struct snapshot *snapshot)
{
    if (snapshot)
        snapshot->refs++;
    return snapshot;
}

void snapshot_unref(struct snapshot *snapshot)
{
    if (!snapshot || --snapshot->refs > 0)
        return;
    free(snapshot->running);
    free(snapshot);
}

/* Marks ------------------------------------------------------------------------------------------
 */

static void thin_out(struct marks *marks)
{
    size_t kept = 0;
    for (size_t i = 0; i < marks->count; i += 2)
        marks->list[kept++] = marks->list[i];
    marks->count = kept;
}

void marks_add(struct marks *marks, uint64_t xid, int64_t position)
{
    if (marks->count > 0) {
        struct mark *last = &marks->list[marks->count - 1];
        if (xid <= last->xid || position < last->position)
            return;
        if (position == last->position)
            return; /* the older proof of the same position holds for more transactions */
    }
    if (marks->count == MARKS_MAX)
        thin_out(marks);
    marks->list[marks->count++] = (struct mark){xid, position};
}

int64_t marks_position_below(const struct marks *marks, uint64_t xid)
{
    for (size_t i = marks->count; i > 0; i--)
        if (marks->list[i - 1].xid < xid)
            return marks->list[i - 1].position;
    return 0;
}

/* Cursor -----------------------------------------------------------------------------------------
 */

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t greatest(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

void cursor_release(struct cursor *cursor)
{
    snapshot_unref(cursor->snapshot);
    snapshot_unref(cursor->late_snapshot);
    *cursor = (struct cursor){0};
}

void cursor_copy(struct cursor *target, const struct cursor *from)
{
    struct cursor copy = *from;
    snapshot_ref(copy.snapshot);
    snapshot_ref(copy.late_snapshot);
    cursor_release(target);
    *target = copy;
}

/* At or below the position the snapshot still tells what is settled. */
void cursor_set_back(struct cursor *cursor, int64_t position)
{
    cursor->position = least(cursor->position, position);
    cursor->floor = least(cursor->floor, position);
    cursor->deep_floor = least(cursor->deep_floor, position);
    snapshot_unref(cursor->late_snapshot);
    cursor->late_snapshot = NULL;
    cursor->late_position = 0;
}

static bool same_snapshot(const struct snapshot *a, const struct snapshot *b)
{
    return a == b || (a && b && strcmp(a->text, b->text) == 0);
}

bool cursor_same(const struct cursor *a, const struct cursor *b)
{
    return a->position == b->position && a->late_position == b->late_position &&
           same_snapshot(a->snapshot, b->snapshot) &&
           same_snapshot(a->late_snapshot, b->late_snapshot);
}

bool cursor_needs_late(const struct cursor *cursor)
{
    return cursor->floor < cursor->position ||
           (cursor->deep_floor < cursor->floor && !cursor->snapshot->none_running);
}

/* What an older snapshot's floors promised holds for a newer one too: it sees more. */
static void move_floors(struct cursor *cursor, const struct marks *marks)
{
    const struct snapshot *snapshot = cursor->snapshot;
    int64_t position = cursor->position;
    int64_t deep = least(position, marks_position_below(marks, snapshot->xmin));
    cursor->deep_floor = greatest(cursor->deep_floor, deep);
    int64_t floor = cursor->deep_floor;
    if (position - floor > SCAN_RATHER_THAN_PROBE)
        floor = least(position, marks_position_below(marks, snapshot->xmax));
    cursor->floor = greatest(cursor->floor, floor);
}

void cursor_advance(struct cursor *cursor, int64_t position, struct snapshot *snapshot,
    int64_t late_position, const struct marks *marks)
{
    if (late_position > 0) {
        cursor->late_position = late_position;
        if (!cursor->late_snapshot)
            cursor->late_snapshot = snapshot_ref(snapshot);
        return;
    }
    struct snapshot *settled =
        cursor->late_snapshot ? cursor->late_snapshot : snapshot_ref(snapshot);
    cursor->late_snapshot = NULL;
    cursor->late_position = 0;
    snapshot_unref(cursor->snapshot);
    cursor->snapshot = settled;
    cursor->position = greatest(cursor->position, position);
    move_floors(cursor, marks);
}

void cursor_cut(struct cursor *cursor, const struct cursor *after, int64_t id)
{
    if (id > cursor->position) {
        cursor_copy(cursor, after);
        cursor_set_back(cursor, id);
        return;
    }
    /* Among the late events, which come first. */
    struct snapshot *read_under = after->late_snapshot ? after->late_snapshot : after->snapshot;
    snapshot_ref(read_under);
    snapshot_unref(cursor->late_snapshot);
    cursor->late_snapshot = read_under;
    cursor->late_position = id;
}
