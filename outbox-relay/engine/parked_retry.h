/* Parked events are sent again when they are due, one at a time: they are loaded from
 * outbox.delivery, and what becomes of them is written there. */
#ifndef RELAY_PARKED_RETRY_H
#define RELAY_PARKED_RETRY_H

#include "outbox-relay/engine/core.h"

/* Wait before the next attempt of an event that has had `attempts`, from 1. */
int64_t parked_retry_wait_ms(struct subscription *subscription, int attempts);
/* An event is due then. */
void parked_retry_after(struct subscription *subscription, int64_t wait_ms);
/* Events may be due: they are loaded in the next turn. */
void parked_retry_soon(struct subscription *subscription);
/* Once a turn: loads what is due; sets the timer for the next. */
void parked_retry_turn(struct subscription *subscription);

/* The event was delivered, or refused again. */
void parked_retry_delivered(struct subscription *subscription, struct item *item);
void parked_retry_refused(struct subscription *subscription, struct item *item, int status,
    const char *error, bool permanent);

/* Forgets those that wait to be sent, and has them loaded anew: an operator may have skipped them.
 * One that is in flight keeps the others until parked_retry_answered(). */
void parked_retry_unload(struct subscription *subscription);
void parked_retry_answered(struct subscription *subscription);

void parked_retry_init(struct subscription *subscription);
void parked_retry_stop(struct subscription *subscription);

#endif
