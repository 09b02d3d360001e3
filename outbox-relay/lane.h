/* Lanes: what is sent, one request at a time each, and what its answer brings about. */
#ifndef RELAY_LANE_H
#define RELAY_LANE_H

#include "outbox-relay/subscription.h"
#include "shared/base/cleanup.h"

void lane_init(struct lane *lane, struct subscription *subscription, bool for_parked);
void lane_release(struct lane *lane);

void lane_push(struct lane *lane, struct item *item);
/* Takes off all that is not in flight: a list in order. */
struct item *lane_take_waiting(struct lane *lane);
bool lane_has_work(const struct lane *lane);

/* Starts the next request when there is something to send and it may be sent. */
void lane_kick(struct lane *lane);

/* Kicks all lanes; while the endpoint is on trial only until one request is under way. */
void lanes_kick(struct subscription *subscription);

/* Ends what is in flight, without an answer; its events stay queued. */
void lanes_break_off(struct subscription *subscription);

/* On a graceful stop: nothing is in flight, and nothing more is to be sent. */
bool lanes_finished(const struct subscription *subscription);

/* Spreads what waits over `count` lanes anew; none may be in flight. Errors: -ENOMEM. */
MUST_CHECK int lanes_resize(struct subscription *subscription, int max_in_flight);

#endif
