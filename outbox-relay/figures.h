/* The figures of a source's subscriptions, for the metrics page; they outlive the subscriptions and
 * reconnects, so that counters only grow. */
#ifndef RELAY_FIGURES_H
#define RELAY_FIGURES_H

#include "outbox-relay/core.h"

/* Of a subscription that is there from now on. NULL: no memory. Owned by the source. */
struct stats *figures_of(struct source *source, const char *subscription);
/* The subscription is there no more: its gauges vanish, its counters stay. */
void figures_gone(struct source *source, const char *subscription);

/* Once a turn: what follows from memory. */
void figures_update(struct subscription *subscription);

/* Once a turn: while a reader has no room, nothing is read, and what waits in the table is looked
 * at once a second instead. */
void figures_watch(struct source *source);

/* outbox.delivery has changed, or may have: its rows are counted soon. */
void figures_count_parked(struct source *source);

/* The timers' life. */
void figures_init(struct source *source);
void figures_stop(struct source *source);
void figures_release(struct source *source);

#endif
