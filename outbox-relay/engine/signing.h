/* The secrets that a subscription's requests are signed with. */
#ifndef RELAY_SIGNING_H
#define RELAY_SIGNING_H

#include "outbox-relay/engine/core.h"

/* Makes the signer from the subscription's valid secrets among the rows of LOAD_SECRETS, the newest
 * first. Returns the ms until one of them ends, or one that can't be read is worth another try;
 * else -1. */
int64_t signing_apply(struct subscription *subscription, const PGresult *rows);

#endif
