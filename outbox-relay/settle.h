/* What the relay writes: cursors, parked events, the state of endpoints. Every unit is fenced by
 * the epoch; a unit that fails ends the source's leadership. */
#ifndef RELAY_SETTLE_H
#define RELAY_SETTLE_H

#include "outbox-relay/subscription.h"

/* Writes the cursors that have moved, and a mark. Does nothing while such a write is under way. */
void settle_cursors(struct source *source);

/* The event of an ordinary lane was refused: puts it into outbox.delivery, dead at once when
 * `permanent` or when its attempts are used up, and settles it. `error` is copied. */
void settle_refused(struct subscription *subscription, struct item *item, int status,
    const char *error, bool permanent);

/* The event waits behind a parked one of its key. Written in groups by settle_blocked(). */
void settle_block(struct subscription *subscription, struct item *item);
void settle_blocked(struct subscription *subscription);

/* An event that came from outbox.delivery was delivered, or refused again. */
void settle_parked_delivered(struct subscription *subscription, struct item *item);
void settle_parked_refused(struct subscription *subscription, struct item *item, int status,
    const char *error, bool permanent);

/* Loads parked events that are due; sets the timer for the next. */
void settle_load_parked(struct subscription *subscription);

void settle_disable(struct subscription *subscription, const char *reason);
void settle_breaker(struct subscription *subscription, const char *error);

#endif
