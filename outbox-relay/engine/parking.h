/* Parks events of ordinary lanes in outbox.delivery: refused ones, and those that wait behind them.
 * What becomes of them there is in parked_retry.h. */
#ifndef RELAY_PARKING_H
#define RELAY_PARKING_H

#include "outbox-relay/engine/core.h"

/* The event was refused: parks it, dead at once when `permanent` or when its attempts are used up,
 * and settles it. `error` is copied. */
void parking_begin(struct subscription *subscription, struct item *item, int status,
    const char *error, bool permanent);

/* The event waits behind a parked one of its key. Written in groups by parking_write_behind(). */
void parking_behind(struct subscription *subscription, struct item *item);
void parking_write_behind(struct subscription *subscription);

/* Once a turn: writes what waits, and logs when too many keys are held back. */
void parking_turn(struct subscription *subscription);

void parking_init(struct subscription *subscription);
/* Forgets the events that wait to be written. */
void parking_drop(struct subscription *subscription);

#endif
