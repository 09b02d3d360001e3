/* The monotonic clock, which nobody sets, and condition variables that wait by it. */
#ifndef SHARED_CLOCK_H
#define SHARED_CLOCK_H

#include <pthread.h>
#include <stdint.h>

int64_t clock_us(void); /* microseconds since some moment in the past */
int64_t clock_ms(void); /* milliseconds since the same */

/* A condition variable for clock_wait; to be destroyed by pthread_cond_destroy. */
void clock_condition_init(pthread_cond_t *condition);

/* Waits as pthread_cond_timedwait does, until clock_ms() is `until_ms`. Returns 0, also for no
 * reason at all, or ETIMEDOUT. */
int clock_wait(pthread_cond_t *condition, pthread_mutex_t *lock, int64_t until_ms);

#endif
