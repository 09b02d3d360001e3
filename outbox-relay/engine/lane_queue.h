/* The queue of a lane: what waits in it, what was taken for a request, and whether that is under
 * way. Sending is in lane.c. */
#ifndef RELAY_LANE_QUEUE_H
#define RELAY_LANE_QUEUE_H

#include "outbox-relay/engine/core.h"
#include "shared/base/cleanup.h"

/* After so many broken requests an event is sent alone, and other keys before it. */
#define SUSPECT_CRASHES 2

/* Breaks off what is in flight; its events stay queued. */
void lane_release(struct lane *lane);

void lane_push(struct lane *lane, struct item *item);
/* Takes the first that waits; there must be one. */
struct item *lane_pop(struct lane *lane);
/* Puts what was taken for a request back to the front, in order. */
void lane_put_back(struct lane *lane);
/* Takes off all that is not in flight: a list in order. */
struct item *lane_take_waiting(struct lane *lane);
/* Moves what waits of the first event's key behind the rest of the lane. Else one event that
 * crashes the receiver would hold up the others, without which nobody knows whose fault it is. */
void lane_let_others_pass(struct lane *lane);
bool lane_has_work(const struct lane *lane);

/* The request of `sending`, with the lane's body, is under way, or no longer. */
void lane_request_started(struct lane *lane);
void lane_request_ended(struct lane *lane);

/* The lane of events that come from outbox.delivery. */
static inline struct lane *lane_for_parked(const struct subscription *subscription)
{
    return &subscription->lanes.list[subscription->lanes.count - 1];
}

/* Forgets what waits in all lanes; nothing may be in flight. */
void lanes_empty(struct subscription *subscription);
/* Whether there are as many lanes as the subscription has to have by now. */
static inline bool lanes_fit(const struct subscription *subscription)
{
    return subscription->lanes.count == subscription->row.max_in_flight + 1;
}

/* Spreads what waits over `max_in_flight` lanes anew, and makes one more for parked events; none
 * may be in flight. Errors: -ENOMEM, -EINVAL. */
MUST_CHECK int lanes_resize(struct subscription *subscription, int max_in_flight);

#endif
