/* Stores what the relay learns of a subscription's endpoint. Every unit is fenced by the epoch; one
 * that fails ends the source's leadership. */
#ifndef RELAY_ENDPOINT_STORE_H
#define RELAY_ENDPOINT_STORE_H

#include "outbox-relay/engine/core.h"

/* The receiver has gone: the subscription is disabled, until an operator resumes it. */
void endpoint_store_disable(struct subscription *subscription, const char *reason);
/* The breaker is open because of `error`; NULL: it is closed. */
void endpoint_store_breaker(struct subscription *subscription, const char *error);

#endif
