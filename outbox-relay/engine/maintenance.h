/* Partitions: calls outbox.maintain() from time to time while the source is active. */
#ifndef RELAY_MAINTENANCE_H
#define RELAY_MAINTENANCE_H

#include "outbox-relay/engine/core.h"

void maintenance_init(struct source *source);
/* Begins soon after the source has become active. */
void maintenance_start(struct source *source);
/* To be called when the connections are closed: what is under way is forgotten. */
void maintenance_stop(struct source *source);

#endif
