/* The event loop: timers in order, stopping within callbacks, descriptors that go away. */
#include "outbox-relay/base/backoff.h"
#include "outbox-relay/base/loop.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <cmocka.h>

#define TIMERS 200

static struct fixture {
    struct loop *loop;
    struct timer timers[TIMERS];
    int64_t wanted[TIMERS]; /* -1: stopped */
    int fired, expected;
    int64_t last_due;
    struct watch watches[2];
    int pipes[2][2];
    int turns;
} f;

static int set_up(void **state)
{
    (void)state;
    f = (struct fixture){.fired = 0};
    return loop_new(&f.loop);
}

static int tear_down(void **state)
{
    (void)state;
    loop_free(f.loop);
    return 0;
}

static void on_timer(void *context)
{
    struct timer *timer = context;
    assert_true(timer->due_us >= f.last_due);
    assert_true(timer->due_us <= loop_now(f.loop));
    assert_false(timer_running(timer));
    assert_true(f.wanted[timer - f.timers] >= 0);
    f.last_due = timer->due_us;
    if (++f.fired == f.expected)
        loop_stop(f.loop);
}

static void timers_fire_in_order(void **state)
{
    uint64_t random = 3;
    (void)state;
    for (int i = 0; i < TIMERS; i++)
        f.timers[i] = (struct timer){.fire = on_timer, .context = &f.timers[i]};
    for (int i = 0; i < 5 * TIMERS; i++) { /* also started anew and stopped */
        int n = (int)(random_next(&random) % TIMERS);
        f.wanted[n] = (int64_t)(random_next(&random) % 20000);
        loop_timer_start(f.loop, &f.timers[n], f.wanted[n]);
        if (random_next(&random) % 4 == 0) {
            loop_timer_stop(f.loop, &f.timers[n]);
            loop_timer_stop(f.loop, &f.timers[n]);
            f.wanted[n] = -1;
        }
    }
    for (int i = 0; i < TIMERS; i++)
        f.expected += timer_running(&f.timers[i]);
    assert_true(f.expected > 50);
    assert_int_equal(loop_run(f.loop), 0);
    assert_int_equal(f.fired, f.expected);
}

static void restart_twice(void *context)
{
    struct timer *timer = context;
    if (++f.fired == 3)
        loop_stop(f.loop);
    else
        loop_timer_start(f.loop, timer, -5);
}

static void a_timer_may_start_itself(void **state)
{
    (void)state;
    struct timer timer = {.fire = restart_twice, .context = &timer};
    loop_timer_start(f.loop, &timer, 0);
    assert_int_equal(loop_run(f.loop), 0);
    assert_int_equal(f.fired, 3);
}

/* Both are ready in the same turn; the first takes the other away. */
static void take_the_other_away(void *context, uint32_t events)
{
    struct watch *own = context, *other = own == &f.watches[0] ? &f.watches[1] : &f.watches[0];
    assert_true(events & EPOLLIN);
    f.fired++;
    loop_unwatch(f.loop, other);
    loop_unwatch(f.loop, own);
    other->ready = NULL;
    loop_stop(f.loop);
}

static void a_watch_may_go_in_the_turn_it_is_ready(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        f.watches[i] =
            (struct watch){.fd = -1, .ready = take_the_other_away, .context = &f.watches[i]};
        assert_int_equal(pipe(f.pipes[i]), 0);
        assert_int_equal(write(f.pipes[i][1], "x", 1), 1);
        assert_int_equal(loop_watch(f.loop, &f.watches[i], f.pipes[i][0], EPOLLIN), 0);
    }
    assert_int_equal(loop_run(f.loop), 0);
    assert_int_equal(f.fired, 1);
    for (int i = 0; i < 2; i++) {
        close(f.pipes[i][0]);
        close(f.pipes[i][1]);
    }
}

static void count_turns(void *context)
{
    (void)context;
    if (++f.turns == 2)
        loop_stop(f.loop);
}

static void *poke(void *context)
{
    loop_poke(context);
    return NULL;
}

static void another_thread_makes_it_turn(void **state)
{
    pthread_t thread;
    (void)state;
    loop_after(f.loop, count_turns, NULL);
    assert_int_equal(pthread_create(&thread, NULL, poke, f.loop), 0);
    assert_int_equal(loop_run(f.loop), 0);
    assert_int_equal(f.turns, 2);
    pthread_join(thread, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(timers_fire_in_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_timer_may_start_itself, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_watch_may_go_in_the_turn_it_is_ready, set_up, tear_down),
        cmocka_unit_test_setup_teardown(another_thread_makes_it_turn, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("relay loop", tests, NULL, NULL);
}
