/* Stores cursors: how far each subscription is settled, a few times a second while that moves. A
 * cursor that is lost with the relay costs second deliveries, no event. Every unit is fenced by the
 * epoch; one that fails ends the source's leadership. */
#ifndef RELAY_CURSOR_STORE_H
#define RELAY_CURSOR_STORE_H

#include "outbox-relay/engine/core.h"

void cursor_store_init(struct source *source);
/* To be called when the connections are closed: what is under way is forgotten. */
void cursor_store_stop(struct source *source);

/* Once a turn: cursors that have moved are written soon. */
void cursor_store_turn(struct source *source);
/* Writes the cursors that have moved, and a mark. Does nothing while such a write is under way. */
void cursor_store_write(struct source *source);

/* The same, and the newer snapshots of subscriptions that are idle. */
void cursor_store_refresh(struct source *source);

/* The result of TAKE_MARK or WRITE_MARK; `context` is the source. */
void cursor_store_on_mark(void *context, PGresult *take_result);

#endif
