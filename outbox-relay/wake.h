/* Sleeping and waking: NOTIFY only when the relay sleeps. See docs/mechanisms/wake-up.md and the
 * model in tests/model/. */
#ifndef RELAY_WAKE_H
#define RELAY_WAKE_H

#include "outbox-relay/source.h"

/* After an election: awake, and everything is due. */
void wake_start(struct source *source);
void wake_stop(struct source *source);

/* A tick is over. `found`: it brought events. */
void wake_after_tick(struct source *source, bool found);
/* A notification came. */
void wake_notified(struct source *source);

#endif
