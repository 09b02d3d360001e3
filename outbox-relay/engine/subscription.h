/* A subscription as the relay holds it: what is queued for it in lanes, how far it is settled, the
 * state of its endpoint, and the keys that are held back. */
#ifndef RELAY_SUBSCRIPTION_H
#define RELAY_SUBSCRIPTION_H

#include "outbox-relay/engine/core.h"
#include "shared/base/cleanup.h"

/* Takes what LOAD_SUBSCRIPTIONS gave in one row. NULL: no memory or a malformed row. */
struct subscription *subscription_new(struct source *source, const PGresult *rows, int row);
/* Breaks off its requests and frees it. It must not be in a reader. */
void subscription_free(struct subscription *subscription);
/* Follows a change of the configuration (not of the cursor). Errors: -ENOMEM. */
MUST_CHECK int subscription_configure(
    struct subscription *subscription, const PGresult *rows, int row);
/* Sets the cursor from the row, or sets it back when that is all that is asked for; nothing may be
 * queued. Errors: -EBADMSG, -ENOMEM. */
MUST_CHECK int subscription_set_cursor(
    struct subscription *subscription, const PGresult *rows, int row);
/* Drops what waits in lanes; what is in flight must have ended. */
void subscription_drop_queue(struct subscription *subscription);

bool subscription_wants(const struct subscription *subscription, struct text event_type);
/* Whether so many keys are held back that nothing more is to be read. */
bool subscription_is_full(const struct subscription *subscription);
/* Whether it may take another read of up to `bytes`. */
bool subscription_has_room(const struct subscription *subscription, size_t bytes);
/* Whether another request may be in flight: large ones of all lanes at once would fill the memory.
 * Each subscription has its share, so that a slow endpoint slows no other. */
bool subscription_may_send_more(const struct subscription *subscription);

/* Queues the matching events of a read and starts what can be started. Errors: -ENOMEM. */
MUST_CHECK int subscription_take(
    struct subscription *subscription, struct read_result *read, const struct cursor *after);
/* How far all is settled, also in the middle of a read. `ret_cursor` must be empty; the caller
 * releases it. */
void subscription_progress(const struct subscription *subscription, struct cursor *ret_cursor);

/* Queues what READ_PARKED gave. Errors: -ENOMEM. */
MUST_CHECK int subscription_take_parked(
    struct subscription *subscription, struct read_result *read);
/* The item is delivered or parked for good. The item is gone with it. */
void subscription_settle(struct subscription *subscription, struct item *item);

#endif
