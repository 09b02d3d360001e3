/* How many events are parked, by status, for the metrics. */
#ifndef RELAY_PARKED_COUNT_H
#define RELAY_PARKED_COUNT_H

#include "outbox-relay/engine/core.h"

void parked_count_init(struct source *source);
void parked_count_stop(struct source *source);

/* outbox.delivery has changed, or may have: its rows are counted soon. */
void parked_count_soon(struct source *source);

#endif
