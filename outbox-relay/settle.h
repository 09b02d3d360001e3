/* What the relay writes of subscriptions: cursors and the state of endpoints. Every unit is fenced
 * by the epoch; a unit that fails ends the source's leadership. Parked events: parking.h. */
#ifndef RELAY_SETTLE_H
#define RELAY_SETTLE_H

#include "outbox-relay/core.h"

/* Writes the cursors that have moved, and a mark. Does nothing while such a write is under way. */
void settle_cursors(struct source *source);

void settle_disable(struct subscription *subscription, const char *reason);
void settle_breaker(struct subscription *subscription, const char *error);

#endif
