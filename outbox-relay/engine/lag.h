/* How far each subscription is behind, for the metrics. */
#ifndef RELAY_LAG_H
#define RELAY_LAG_H

#include "outbox-relay/engine/core.h"

void lag_init(struct source *source);
void lag_stop(struct source *source);

/* Once a turn: what follows from memory. */
void lag_update(struct subscription *subscription);

/* Once a turn: while a reader has no room, nothing is read, and what waits in the table is looked
 * at once a second instead. */
void lag_watch(struct source *source);

#endif
