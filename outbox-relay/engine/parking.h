/* Exceptions, in outbox.delivery: refused events, those that wait behind them, and dead ones. Every
 * unit is fenced by the epoch and excludes the operators' commands. */
#ifndef RELAY_PARKING_H
#define RELAY_PARKING_H

#include "outbox-relay/engine/core.h"

/* The event of an ordinary lane was refused: parks it, dead at once when `permanent` or when its
 * attempts are used up, and settles it. `error` is copied. */
void parking_begin(struct subscription *subscription, struct item *item, int status,
    const char *error, bool permanent);

/* The event waits behind a parked one of its key. Written in groups by parking_write_behind(). */
void parking_behind(struct subscription *subscription, struct item *item);
void parking_write_behind(struct subscription *subscription);

/* An event that was parked is delivered, or refused again. */
void parking_delivered(struct subscription *subscription, struct item *item);
void parking_refused(struct subscription *subscription, struct item *item, int status,
    const char *error, bool permanent);

/* Once a turn: logs that it has become full, and that it no longer is. */
void parking_tell_full(struct subscription *subscription);

/* Loads parked events that are due; sets the timer for the next. */
void parking_load(struct subscription *subscription);
/* Forgets those that wait to be sent, and has them loaded anew: an operator may have skipped them.
 */
void parking_unload(struct subscription *subscription);

#endif
