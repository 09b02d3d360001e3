/* Follows the subscriptions, their secrets and their parked keys, as the database has them: loads
 * all of them anew whenever any of them has changed. */
#ifndef RELAY_RELOAD_H
#define RELAY_RELOAD_H

#include "outbox-relay/engine/core.h"

void reload_init(struct source *source);
/* To be called when the connections are closed: what is under way is forgotten. */
void reload_stop(struct source *source);

/* Loads anew; the event `loaded` follows. Once more afterwards when it is called while it is at it.
 */
void reload_start(struct source *source);
/* Once loaded, where there are no notifications: from time to time. */
void reload_poll(struct source *source);

/* Once a turn: does what had to wait until a subscription's requests and writes have ended
 * (removal, resizing, a new cursor), and loads anew when that is wanted. */
void reload_turn(struct source *source);

#endif
