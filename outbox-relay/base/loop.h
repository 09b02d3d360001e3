/* The event loop of one source: epoll for descriptors, one timerfd for all timers. One thread. */
#ifndef RELAY_LOOP_H
#define RELAY_LOOP_H

#include "shared/base/cleanup.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct loop;

/* A watched descriptor. Embedded in its owner, which must stop it before it goes away. */
struct watch {
    int fd;          /* -1: not watched */
    uint32_t events; /* EPOLLIN | EPOLLOUT */
    void (*ready)(void *context, uint32_t events);
    void *context;
};

/* A one-shot timer. Embedded in its owner, which must stop it before it goes away. */
struct timer {
    size_t slot;    /* place in the heap, from 1; 0: not running */
    int64_t due_us; /* on the clock of loop_now() */
    void (*fire)(void *context);
    void *context;
};

/* Errors: -ENOMEM, or what epoll_create1, timerfd_create and eventfd gave. */
MUST_CHECK int loop_new(struct loop **ret_loop);
void loop_free(struct loop *loop);

/* Microseconds of CLOCK_BOOTTIME, which goes on while the process or the machine is suspended;
 * read once in each turn of the loop. */
int64_t loop_now(const struct loop *loop);

/* Starts to watch, or changes what is watched. `watch->ready` and `context` must be set. */
MUST_CHECK int loop_watch(struct loop *loop, struct watch *watch, int fd, uint32_t events);
void loop_unwatch(struct loop *loop, struct watch *watch);

/* (Re)starts a timer; a delay below 0 counts as 0. */
void loop_timer_start(struct loop *loop, struct timer *timer, int64_t delay_us);
void loop_timer_stop(struct loop *loop, struct timer *timer);
static inline bool timer_running(const struct timer *timer)
{
    return timer->slot != 0;
}

/* Called once after the events of each turn: the place to do what they have made possible. */
void loop_after(struct loop *loop, void (*after)(void *context), void *context);

/* Runs until loop_stop(). Errors: what epoll_wait gave. */
MUST_CHECK int loop_run(struct loop *loop);
void loop_stop(struct loop *loop);

/* Makes the loop turn. May be called from any thread, and in a signal handler. */
void loop_poke(struct loop *loop);

#endif
