/* Readers: each is a cursor shared by all subscriptions that stand at the same point, so that an
 * event is read once for all of them. One that falls behind gets a reader of its own and comes back
 * to the others when it has caught up. */
#ifndef RELAY_READER_H
#define RELAY_READER_H

#include "outbox-relay/engine/core.h"
#include "shared/base/cleanup.h"

struct reader {
    struct reader *next;
    struct subscription *members;
    struct cursor cursor; /* as far as read, which is ahead of what is settled */
    bool due;             /* there may be something to read */
};

/* Puts a subscription, whose settled cursor is where it begins, into a reader. Errors: -ENOMEM. */
MUST_CHECK int reader_join(struct subscription *subscription);
/* Takes it out; an empty reader is freed, after the tick it may be in. */
void reader_leave(struct subscription *subscription);
void readers_free(struct source *source);

/* Whether the reader, which may be NULL, would read on and can't, because a member has no room. */
bool reader_is_stuck(const struct source *source, const struct reader *reader);
/* Whether any is. */
bool readers_stuck(const struct source *source);

/* Starts one tick (all readers that are due and have room, under one snapshot) unless one is under
 * way. Returns whether a read is under way now. `wake_after_tick` is called at its end. */
bool readers_tick(struct source *source);

#endif
