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
    struct cursor cursor;    /* as far as read, which is ahead of what is settled */
    bool due;                /* there may be something to read */
    struct reader **in_tick; /* while a read of it is under way: to be emptied when it goes away */
};

/* Puts a subscription, whose settled cursor is where it begins, into a reader. Errors: -ENOMEM. */
MUST_CHECK int reader_join(struct subscription *subscription);
/* Takes it out; an empty reader is freed, also in the middle of a tick. */
void reader_leave(struct subscription *subscription);
void readers_free(struct source *source);

/* Whether there may be something to read for the subscription. */
bool reader_is_due(const struct subscription *subscription);
/* Whether its reader would read on and can't, because one of its subscriptions has no room. */
bool reader_is_stuck(const struct subscription *subscription);
/* Whether any is. */
bool readers_stuck(const struct source *source);

/* There may be new events: all readers are due. */
void readers_all_due(struct source *source);
/* Whether all of the reader's subscriptions have room. Those without are sent off to readers of
 * their own as soon as they would let another one starve. */
bool reader_make_room(struct source *source, struct reader *reader);
/* Bytes that one read of a reader should bring. */
size_t reader_expected_bytes(const struct source *source);
/* So that all have their turn. */
void reader_move_to_end(struct source *source, struct reader *reader);
/* Readers that stand at the same point become one. */
void readers_merge(struct source *source);

#endif
