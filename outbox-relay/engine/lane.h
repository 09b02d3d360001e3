/* Lanes: what is sent, one request at a time each. */
#ifndef RELAY_LANE_H
#define RELAY_LANE_H

#include "outbox-relay/engine/core.h"

/* In every lane, starts the next request when there is something to send and it may be sent; while
 * the endpoint is on trial only until one request is under way. */
void lanes_kick(struct subscription *subscription);

/* Ends what is in flight, without an answer; its events stay queued. */
void lanes_break_off(struct subscription *subscription);

/* On a graceful stop: nothing is in flight, and nothing more is to be sent. */
bool lanes_finished(const struct subscription *subscription);

#endif
