/* When to try again, and what an answer means. Pure functions. */
#ifndef RELAY_RETRY_H
#define RELAY_RETRY_H

#include "outbox-relay/transport.h"

#include <stdbool.h>
#include <stdint.h>

/* What became of a request; see docs/mechanisms/delivery.md. */
enum verdict {
    VERDICT_DELIVERED,
    VERDICT_REFUSED, /* the event is at fault: park its key */
    VERDICT_DOWN,    /* the endpoint is at fault: open the breaker */
    VERDICT_GONE,    /* 410: disable the subscription */
};

enum verdict judge(const struct response *response);

/* Wait before the next attempt of a refused event that has had `attempts` (from 1): base doubled
 * with each, at most max, of which the upper half is random. `random` is any number. */
int64_t retry_wait_ms(int64_t base_ms, int64_t max_ms, int attempts, uint64_t random);

/* Wait before the next probe of an endpoint after `failures` (from 1) in a row: exponential with
 * full jitter (AWS Architecture Blog, "Exponential Backoff And Jitter"), and never less than
 * `retry_after_s`, which is -1 when the receiver asked for nothing and is cut at a day. */
int64_t probe_wait_ms(
    int64_t base_ms, int64_t max_ms, int failures, int64_t retry_after_s, uint64_t random);

/* Seconds from now that a Retry-After asks for, in either of its forms (RFC 9110, 10.2.3); -1 when
 * it says nothing, or a time that has passed. */
int64_t retry_after_parse(const char *value, int64_t now_s);

/* A fast generator for jitter (splitmix64), not for secrets. */
uint64_t random_next(uint64_t *state);

#endif
