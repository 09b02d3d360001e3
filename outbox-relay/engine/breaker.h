/* The breaker of a subscription's endpoint: closed (all lanes send), open (nothing is sent), half
 * open (one request at a time, until one gets through). */
#ifndef RELAY_BREAKER_H
#define RELAY_BREAKER_H

#include "outbox-relay/engine/core.h"

void breaker_init(struct subscription *subscription);
void breaker_stop(struct subscription *subscription);

/* As the relay before left it: one that was open is on trial, so that the first answer closes it,
 * also in the database. */
void breaker_restore(struct subscription *subscription, bool was_open);

/* Whether another request may be started now. */
bool breaker_lets_through(const struct subscription *subscription);

/* A request got an answer that is not the endpoint's failure. Closes the breaker when it was on
 * trial. */
void breaker_success(struct subscription *subscription);

/* Something has changed, the URL or a person's mind: does not wait for the time of the next probe.
 */
void breaker_probe_now(struct subscription *subscription);

/* A request failed by the endpoint's fault. `error` is kept for people, `retry_after_s` is -1 when
 * the receiver asked for nothing. */
void breaker_failure(struct subscription *subscription, const char *error, int64_t retry_after_s);

#endif
