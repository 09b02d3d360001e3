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
/* Follows a change of its row (not of the cursor). Errors: -ENOMEM. */
MUST_CHECK int subscription_configure(
    struct subscription *subscription, const PGresult *rows, int row);
/* Sets the cursor from the row, or sets it back when that is all that is asked for; nothing may be
 * queued. Errors: -EBADMSG, -ENOMEM. */
MUST_CHECK int subscription_set_cursor(
    struct subscription *subscription, const PGresult *rows, int row);
/* Forgets all events that were read; nothing may be under way. */
void subscription_drop_events(struct subscription *subscription);

/* What the relay does with it follows from both, see records.h. */
void subscription_set_state(struct subscription *subscription, enum subscription_state state);
void subscription_set_phase(struct subscription *subscription, enum subscription_phase phase);

/* Whether it may take another read of up to `bytes`. */
bool subscription_has_room(const struct subscription *subscription, size_t bytes);
/* Whether another request may be in flight: large ones of all lanes at once would fill the memory.
 * Each subscription has its share, so that a slow endpoint slows no other. */
bool subscription_may_send_more(const struct subscription *subscription);

#endif
