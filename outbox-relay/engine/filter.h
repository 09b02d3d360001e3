/* Which events a subscription gets. */
#ifndef RELAY_FILTER_H
#define RELAY_FILTER_H

#include "outbox-relay/event/event.h"

#include <stdbool.h>

/* Whether one of the patterns, which are separated by newlines, matches an event type: the type
 * itself, "prefix.*", or "*". */
bool filter_matches(const char *patterns, struct text type);

#endif
