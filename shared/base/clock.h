/* The clocks, and condition variables that wait by the one that nobody sets. */
#ifndef SHARED_CLOCK_H
#define SHARED_CLOCK_H

#include <pthread.h>
#include <stdint.h>
#include <time.h>

int64_t clock_us(void);      /* microseconds since some moment in the past: CLOCK_MONOTONIC */
int64_t clock_ms(void);      /* milliseconds since the same */
int64_t clock_boot_us(void); /* the same, with the time that the machine was suspended */
int64_t clock_unix_us(void); /* since 1970, as the machine is set */

/* A moment of clock_ms(), for functions that wait until a time of CLOCK_MONOTONIC. */
struct timespec clock_timespec(int64_t ms);

/* A condition variable for clock_wait; to be destroyed by pthread_cond_destroy. */
void clock_condition_init(pthread_cond_t *condition);

/* Waits as pthread_cond_timedwait does, until clock_ms() is `until_ms`. Returns 0, also for no
 * reason at all, or ETIMEDOUT. */
int clock_wait(pthread_cond_t *condition, pthread_mutex_t *lock, int64_t until_ms);

#endif
