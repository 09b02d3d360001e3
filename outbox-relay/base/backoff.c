/* See backoff.h. */
#include "outbox-relay/base/backoff.h"

#define MS_PER_S INT64_C(1000)
#define LONGEST_RETRY_AFTER_S INT64_C(86400)

/* base * 2^(times - 1), at most max. */
static int64_t doubled(int64_t base, int64_t max, int times)
{
    int64_t value = base;
    for (int i = 1; i < times && value < max; i++)
        value *= 2;
    return value < max ? value : max;
}

int64_t retry_wait_ms(int64_t base_ms, int64_t max_ms, int attempts, uint64_t random)
{
    int64_t wait = doubled(base_ms, max_ms, attempts);
    int64_t half = wait / 2;
    return wait - half + (int64_t)(random % (uint64_t)(half + 1));
}

int64_t probe_wait_ms(
    int64_t base_ms, int64_t max_ms, int failures, int64_t retry_after_s, uint64_t random)
{
    int64_t ceiling = doubled(base_ms, max_ms, failures);
    int64_t wait = (int64_t)(random % (uint64_t)(ceiling + 1));
    if (retry_after_s > LONGEST_RETRY_AFTER_S)
        retry_after_s = LONGEST_RETRY_AFTER_S;
    int64_t asked = retry_after_s > 0 ? retry_after_s * MS_PER_S : 0;
    return wait > asked ? wait : asked;
}

uint64_t random_next(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}
