/* How long to wait before the next try. Pure functions. */
#ifndef RELAY_BACKOFF_H
#define RELAY_BACKOFF_H

#include <stdint.h>

/* Wait before the next attempt of a refused event that has had `attempts` (from 1): base doubled
 * with each, at most max, of which the upper half is random. `random` is any number. */
int64_t retry_wait_ms(int64_t base_ms, int64_t max_ms, int attempts, uint64_t random);

/* Wait before the next probe of an endpoint after `failures` (from 1) in a row: exponential with
 * full jitter (AWS Architecture Blog, "Exponential Backoff And Jitter"), and never less than
 * `retry_after_s`, which is -1 when the receiver asked for nothing and is cut at a day. */
int64_t probe_wait_ms(
    int64_t base_ms, int64_t max_ms, int failures, int64_t retry_after_s, uint64_t random);

/* A fast generator for jitter (splitmix64), not for secrets. */
uint64_t random_next(uint64_t *state);

#endif
