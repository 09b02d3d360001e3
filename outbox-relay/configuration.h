/* Follows what the database says: subscriptions, their secrets and their parked keys. */
#ifndef RELAY_CONFIGURATION_H
#define RELAY_CONFIGURATION_H

#include "outbox-relay/core.h"

/* Reads all of it anew; `source_loaded` follows. Once more afterwards when it is called while it is
 * at it. */
void configuration_load(struct source *source);
void configuration_free(struct source *source);

/* Does what had to wait until a subscription's requests and writes have ended: removal, resizing,
 * a new cursor. */
void configuration_settle(struct source *source);

#endif
