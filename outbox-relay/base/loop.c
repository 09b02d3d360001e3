/* epoll + timerfd + eventfd; see loop.h. The timers are a binary heap, so that many breakers and
 * retries cost little. */
#include "outbox-relay/base/loop.h"
#include "shared/base/clock.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define EVENTS_PER_TURN 128
#define US_PER_S INT64_C(1000000)

struct loop {
    int epoll_fd, timer_fd, poke_fd;
    bool running;
    int64_t now_us;
    int64_t armed_us; /* what the timerfd is set to; 0: not set */
    struct timer **heap;
    size_t timer_count, timer_capacity;
    void (*after)(void *context);
    void *after_context;
    struct epoll_event events[EVENTS_PER_TURN]; /* of this turn */
    int event_count;
};

static int add_own(struct loop *loop, int fd, void *mark)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = mark};
    return epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

int loop_new(struct loop **ret_loop)
{
    struct loop *loop = calloc(1, sizeof(*loop));
    if (!loop)
        return -ENOMEM;
    loop->now_us = clock_boot_us();
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    loop->timer_fd = timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC);
    loop->poke_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    int ret = loop->epoll_fd < 0 || loop->timer_fd < 0 || loop->poke_fd < 0 ? -errno : 0;
    if (ret == 0)
        ret = add_own(loop, loop->timer_fd, &loop->timer_fd);
    if (ret == 0)
        ret = add_own(loop, loop->poke_fd, &loop->poke_fd);
    if (ret < 0) {
        loop_free(loop);
        return ret;
    }
    *ret_loop = loop;
    return 0;
}

void loop_free(struct loop *loop)
{
    if (!loop)
        return;
    if (loop->epoll_fd >= 0)
        close(loop->epoll_fd);
    if (loop->timer_fd >= 0)
        close(loop->timer_fd);
    if (loop->poke_fd >= 0)
        close(loop->poke_fd);
    free(loop->heap);
    free(loop);
}

int64_t loop_now(const struct loop *loop)
{
    return loop->now_us;
}

/* Descriptors ------------------------------------------------------------------------------------
 */

int loop_watch(struct loop *loop, struct watch *watch, int fd, uint32_t events)
{
    if (watch->fd == fd && watch->events == events)
        return 0;
    struct epoll_event event = {.events = events, .data.ptr = watch};
    int op = watch->fd == fd ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    if (epoll_ctl(loop->epoll_fd, op, fd, &event) < 0)
        return -errno;
    watch->fd = fd;
    watch->events = events;
    return 0;
}

void loop_unwatch(struct loop *loop, struct watch *watch)
{
    if (watch->fd < 0)
        return;
    /* Fails when the descriptor has been closed already, which removed it. */
    epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
    watch->fd = -1;
    watch->events = 0;
    /* The owner may go away now, with an event of this turn still to come. */
    for (int i = 0; i < loop->event_count; i++)
        if (loop->events[i].data.ptr == watch)
            loop->events[i].data.ptr = NULL;
}

/* Timers -----------------------------------------------------------------------------------------
 */

static void place(struct loop *loop, size_t slot, struct timer *timer)
{
    loop->heap[slot] = timer;
    timer->slot = slot;
}

static void sift_up(struct loop *loop, size_t slot, struct timer *timer)
{
    for (; slot > 1 && loop->heap[slot / 2]->due_us > timer->due_us; slot /= 2)
        place(loop, slot, loop->heap[slot / 2]);
    place(loop, slot, timer);
}

static void sift_down(struct loop *loop, size_t slot, struct timer *timer)
{
    for (;;) {
        size_t child = slot * 2;
        if (child > loop->timer_count)
            break;
        if (child < loop->timer_count && loop->heap[child + 1]->due_us < loop->heap[child]->due_us)
            child++;
        if (loop->heap[child]->due_us >= timer->due_us)
            break;
        place(loop, slot, loop->heap[child]);
        slot = child;
    }
    place(loop, slot, timer);
}

static void grow_heap(struct loop *loop)
{
    size_t capacity = loop->timer_capacity ? loop->timer_capacity * 2 : 64;
    struct timer **heap = realloc(loop->heap, (capacity + 1) * sizeof(struct timer *));
    if (!heap)
        abort(); /* a few hundred bytes: nothing sensible can be done without */
    loop->heap = heap;
    loop->timer_capacity = capacity;
}

void loop_timer_start(struct loop *loop, struct timer *timer, int64_t delay_us)
{
    loop_timer_stop(loop, timer);
    if (loop->timer_count == loop->timer_capacity)
        grow_heap(loop);
    timer->due_us = loop->now_us + (delay_us > 0 ? delay_us : 0);
    sift_up(loop, ++loop->timer_count, timer);
}

void loop_timer_stop(struct loop *loop, struct timer *timer)
{
    if (!timer_running(timer))
        return;
    size_t slot = timer->slot;
    struct timer *last = loop->heap[loop->timer_count--];
    timer->slot = 0;
    if (last == timer)
        return;
    if (slot > 1 && loop->heap[slot / 2]->due_us > last->due_us)
        sift_up(loop, slot, last);
    else
        sift_down(loop, slot, last);
}

/* Sets the timerfd to the earliest timer, when that has changed. */
static void arm(struct loop *loop)
{
    int64_t due = loop->timer_count ? loop->heap[1]->due_us : 0;
    if (due == loop->armed_us)
        return;
    struct itimerspec when = {.it_value = {due / US_PER_S, due % US_PER_S * 1000}};
    timerfd_settime(loop->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
    loop->armed_us = due;
}

/* Fires what was due when the turn began; what a callback starts anew waits for the next turn. */
static void fire_due(struct loop *loop)
{
    int64_t now = loop->now_us;
    for (size_t limit = loop->timer_count; limit > 0 && loop->timer_count > 0; limit--) {
        struct timer *timer = loop->heap[1];
        if (timer->due_us > now)
            break;
        loop_timer_stop(loop, timer);
        timer->fire(timer->context);
    }
}

/* Turns ------------------------------------------------------------------------------------------
 */

void loop_after(struct loop *loop, void (*after)(void *context), void *context)
{
    loop->after = after;
    loop->after_context = context;
}

static void drain(int fd)
{
    uint64_t count;
    while (read(fd, &count, sizeof(count)) > 0)
        ;
}

static void dispatch(struct loop *loop, const struct epoll_event *event)
{
    if (event->data.ptr == &loop->timer_fd) {
        drain(loop->timer_fd);
        loop->armed_us = 0;
    } else if (event->data.ptr == &loop->poke_fd) {
        drain(loop->poke_fd);
    } else if (event->data.ptr) {
        struct watch *watch = event->data.ptr;
        watch->ready(watch->context, event->events);
    }
}

int loop_run(struct loop *loop)
{
    loop->running = true;
    while (loop->running) {
        if (loop->after)
            loop->after(loop->after_context);
        if (!loop->running)
            break;
        arm(loop);
        int count = epoll_wait(loop->epoll_fd, loop->events, EVENTS_PER_TURN, -1);
        if (count < 0 && errno != EINTR)
            return -errno;
        loop->now_us = clock_boot_us();
        loop->event_count = count > 0 ? count : 0;
        for (int i = 0; i < loop->event_count; i++)
            dispatch(loop, &loop->events[i]);
        loop->event_count = 0;
        fire_due(loop);
    }
    return 0;
}

void loop_stop(struct loop *loop)
{
    loop->running = false;
}

void loop_poke(struct loop *loop)
{
    uint64_t one = 1;
    if (write(loop->poke_fd, &one, sizeof(one)) < 0)
        return; /* full: the loop is going to turn anyway */
}
