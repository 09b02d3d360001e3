/* A line of progress for the person who has started `run` in a terminal and waits for a backlog to
 * drain. */
#ifndef RELAY_DRAIN_DISPLAY_H
#define RELAY_DRAIN_DISPLAY_H

#include "outbox-relay/engine/source.h"

#include <stdio.h>

/* What was shown last. Starts zeroed. */
struct drain_display {
    uint64_t delivered;
    int64_t shown_us, began_us; /* CLOCK_MONOTONIC; 0: nothing is being drained */
    uint64_t began_delivered;
};

/* To be called every now and then: keeps one line of `out` up to date while events wait, and ends
 * it with a summary when none do. A short lag that is gone by the next call is not shown. */
void drain_display_show(
    struct drain_display *display, FILE *out, struct source *const *sources, size_t count);

#endif
