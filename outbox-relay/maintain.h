/* Partitions: calls outbox.maintain() from time to time while the source is active. */
#ifndef RELAY_MAINTAIN_H
#define RELAY_MAINTAIN_H

#include "outbox-relay/core.h"

void maintain_init(struct source *source);
/* Begins soon after the source has become active. */
void maintain_start(struct source *source);
/* To be called when the connections are closed: what is under way is forgotten. */
void maintain_stop(struct source *source);

#endif
