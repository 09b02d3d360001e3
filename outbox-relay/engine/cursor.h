/* The commit-order-safe cursor: a position and the snapshot it was read under. See
 * docs/mechanisms/cursor.md. */
#ifndef RELAY_CURSOR_H
#define RELAY_CURSOR_H

#include "shared/base/cleanup.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A pg_snapshot, immutable and shared. Used in one thread only. */
struct snapshot {
    int refs;
    uint64_t xmin; /* every older transaction has ended */
    uint64_t xmax; /* first one that had not ended; running ones at or above it are not listed */
    char *running; /* '{…}': its xip list as a PostgreSQL array */
    bool none_running;
    int64_t taken_us; /* Unix time, on the server's clock; set by whoever has parsed it, else 0 */
    char text[];      /* as PostgreSQL writes it */
};

/* Parses "xmin:xmax:xip,…". NULL: malformed or out of memory. The caller owns one reference. */
struct snapshot *snapshot_parse(const char *text);
void snapshot_unref(struct snapshot *snapshot); /* accepts NULL */

/* Settled: id <= position and visible in snapshot; and, while late events are caught up in parts,
 * id <= late_position and visible in late_snapshot.
 * An event with id <= floor that snapshot does not see is of a transaction in its xip list.
 * There is no event with id <= deep_floor that snapshot does not see. */
struct cursor {
    int64_t position, floor, deep_floor;
    struct snapshot *snapshot; /* owned */
    int64_t late_position;
    struct snapshot *late_snapshot; /* owned; NULL: no late part under way */
};

void cursor_release(struct cursor *cursor);
/* `target` is released first; both then share the snapshots. */
void cursor_copy(struct cursor *target, const struct cursor *from);
/* Back to `position`, when it is ahead of that: everything above it counts as not settled. */
void cursor_set_back(struct cursor *cursor, int64_t position);
bool cursor_same(const struct cursor *a, const struct cursor *b);

/* Marks: proofs that a transaction with an id above `xid` draws event ids above `position` only,
 * as an own transaction got `xid` when ids up to `position` had been drawn. Kept in rising order,
 * thinned out when there are many. */
#define MARKS_MAX 64
struct mark {
    uint64_t xid;
    int64_t position;
};
struct marks {
    struct mark list[MARKS_MAX];
    size_t count;
};

void marks_add(struct marks *marks, uint64_t xid, int64_t position);
/* Largest position of a mark whose xid is below `xid`; 0 when there is none. */
int64_t marks_position_below(const struct marks *marks, uint64_t xid);

/* After a read: moves the cursor on. `position` is the largest id read so far. When the late part
 * was cut, `late_position` is the last late id read, else 0. Takes no reference of its own to
 * `snapshot` from the caller. */
void cursor_advance(struct cursor *cursor, int64_t position, struct snapshot *snapshot,
    int64_t late_position, const struct marks *marks);

/* `cursor` stands before a read, `after` behind it: moves `cursor` to where it would stand had the
 * read ended with the event `id`. */
void cursor_cut(struct cursor *cursor, const struct cursor *after, int64_t id);

/* Whether a read has to look for late events at all. */
bool cursor_needs_late(const struct cursor *cursor);

#endif
