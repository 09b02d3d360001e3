/* Sleeping and waking: NOTIFY only when the relay sleeps. See docs/mechanisms/wake-up.md and the
 * model in tests/model/. */
#ifndef RELAY_WAKE_H
#define RELAY_WAKE_H

#include "outbox-relay/engine/core.h"

/* After an election: awake, and everything is due. */
void wake_start(struct source *source);
void wake_stop(struct source *source);

/* What a tick brought, in rising order. */
enum tick_outcome {
    TICK_EMPTY,
    TICK_SOME, /* a few events: those that came since the tick before */
    TICK_MANY, /* a backlog: there are likely more */
};

/* A tick begins: whether the relay holds the sleep lock now. */
void wake_before_tick(struct source *source);
/* A tick is over, `took_us` microseconds after it began. */
void wake_after_tick(struct source *source, enum tick_outcome outcome, int64_t took_us);
/* A notification came. */
void wake_notified(struct source *source);

#endif
