/* What must be sure before the relay reads or sends anything: that this is the database which the
 * outbox belongs to, that no restore is under way, and that event ids have not begun anew. See
 * outbox.guard(). */
#ifndef RELAY_GUARD_H
#define RELAY_GUARD_H

#include "outbox-relay/engine/core.h"

/* Asks the database through `pg`, and calls `passed` when all is well. Else the source fails with
 * what is wrong and the command that mends it. A database that came from elsewhere is adopted first
 * where OUTBOX_RELAY_ADOPT says so. */
void guard_check(struct source *source, struct pg *pg, void (*passed)(struct source *source));

/* To be called when the connections are closed. */
void guard_stop(struct source *source);

/* What a read has found: the newest event id and the sequence's file. Events up to `position` have
 * been read. Fails the source when ids have begun anew. */
void guard_read(struct source *source, int64_t newest_id, uint32_t sequence_file, int64_t position);

#endif
