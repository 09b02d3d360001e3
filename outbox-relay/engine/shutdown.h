/* A graceful stop, in order: the requests in flight end or are broken off, their outcomes and the
 * cursors are written, the lease is given back. */
#ifndef RELAY_SHUTDOWN_H
#define RELAY_SHUTDOWN_H

#include "outbox-relay/engine/core.h"

void shutdown_init(struct source *source);
void shutdown_begin(struct source *source);
/* Once a turn while stopping; true when nothing is left to be done. */
bool shutdown_turn(struct source *source);

#endif
