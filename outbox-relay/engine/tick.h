/* One read of the outbox: for all readers that are due and have room, under one snapshot. */
#ifndef RELAY_TICK_H
#define RELAY_TICK_H

#include "outbox-relay/engine/core.h"

/* Once a turn: starts one unless one is under way. wake_after_tick() is called at its end. */
void tick_turn(struct source *source);
/* To be called when the connections are closed: what is under way is forgotten. */
void tick_stop(struct source *source);

#endif
