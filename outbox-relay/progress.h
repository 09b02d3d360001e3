/* Progress for the person who has started `run` in a terminal and waits for a backlog to drain. */
#ifndef RELAY_PROGRESS_H
#define RELAY_PROGRESS_H

#include "outbox-relay/source.h"

#include <stdio.h>

/* What was shown last. Starts zeroed. */
struct progress {
    uint64_t delivered;
    int64_t shown_us, began_us; /* CLOCK_MONOTONIC; 0: nothing is being drained */
    uint64_t began_delivered;
};

/* To be called every now and then: keeps one line of `out` up to date while events wait, and ends
 * it with a summary when none do. A short lag that is gone by the next call is not shown. */
void progress_show(
    struct progress *progress, FILE *out, struct source *const *sources, size_t count);

#endif
