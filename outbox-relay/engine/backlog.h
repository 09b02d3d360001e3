/* What has been read for a subscription and is not settled, and how far it is settled. */
#ifndef RELAY_BACKLOG_H
#define RELAY_BACKLOG_H

#include "outbox-relay/engine/core.h"
#include "shared/base/cleanup.h"

/* Queues the matching events of a read in their lanes. Errors: -ENOMEM. */
MUST_CHECK int backlog_take(
    struct subscription *subscription, struct read_result *read, const struct cursor *after);
/* Queues what READ_PARKED gave. Errors: -ENOMEM. */
MUST_CHECK int backlog_take_parked(struct subscription *subscription, struct read_result *read);

/* The item is delivered or parked for good. The item is gone with it. */
void backlog_settle(struct subscription *subscription, struct item *item);
/* How far all is settled, also in the middle of a read. `ret_cursor` must be empty; the caller
 * releases it. */
void backlog_progress(const struct subscription *subscription, struct cursor *ret_cursor);

/* Drops all of it; the lanes must be empty. */
void backlog_drop(struct subscription *subscription);

#endif
