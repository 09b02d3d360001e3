/* What the answer to a lane's request brings about: each event of the request is delivered, refused
 * or sent again, and the endpoint's breaker hears of it. */
#ifndef RELAY_ANSWER_H
#define RELAY_ANSWER_H

#include "outbox-relay/engine/core.h"
#include "outbox-relay/http/transport.h"

/* The lane's request must have ended; its events are still in `sending`. */
void answer_apply(struct lane *lane, const struct response *response);

#endif
