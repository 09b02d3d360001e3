/* Password hashes of the auth service: what matches, what is outdated, and how many at once. */
#include "services/auth/password.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define MANY_TRIES 100

static int set_up(void **state)
{
    (void)state;
    return password_init(&(struct password_settings){
        .memory_kib = 1024, .passes = 1, .lanes = 1, .at_once = 1, .wait_ms = 20000});
}

static void only_the_right_password_matches(void **state)
{
    static const char *const WRONG[] = {
        "", "correct hors", "correct horse ", "Correct horse", "päßword"};
    char hash[PASSWORD_HASH_SIZE];
    bool matches = false;

    (void)state;
    assert_int_equal(password_hash("correct horse", hash), 0);
    assert_int_equal(password_verify(hash, "correct horse", &matches), 0);
    assert_true(matches);
    for (size_t i = 0; i < ARRAY_SIZE(WRONG); i++) {
        assert_int_equal(password_verify(hash, WRONG[i], &matches), 0);
        assert_false(matches);
    }
}

static void each_hash_has_its_own_salt(void **state)
{
    char first[PASSWORD_HASH_SIZE], second[PASSWORD_HASH_SIZE];

    (void)state;
    assert_int_equal(password_hash("same password", first), 0);
    assert_int_equal(password_hash("same password", second), 0);
    assert_string_not_equal(first, second);
}

static void an_unknown_user_never_matches(void **state)
{
    bool matches = true;

    (void)state;
    assert_int_equal(password_verify(NULL, "whatever it is", &matches), 0);
    assert_false(matches);
}

static void a_broken_hash_is_an_error(void **state)
{
    static const char *const BROKEN[] = {
        "", "$argon2id$", "$argon2i$v=19$m=1024,t=1,p=1$c2FsdHNhbHQ$aGFzaA", "plain"};
    bool matches = true;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(BROKEN); i++)
        assert_int_equal(password_verify(BROKEN[i], "whatever it is", &matches), -EIO);
    assert_true(matches); /* untouched */
}

static void other_parameters_are_outdated(void **state)
{
    char hash[PASSWORD_HASH_SIZE];

    (void)state;
    assert_int_equal(password_hash("some password", hash), 0);
    assert_false(password_hash_outdated(hash));
    assert_true(password_hash_outdated("$argon2id$v=19$m=1023,t=1,p=1$c2FsdA$aGFzaA"));
    assert_true(password_hash_outdated("$argon2id$v=19$m=1024,t=2,p=1$c2FsdA$aGFzaA"));
    assert_true(password_hash_outdated("$argon2id$v=16$m=1024,t=1,p=1$c2FsdA$aGFzaA"));
}

static void the_slow_digest_depends_on_data_and_context(void **state)
{
    unsigned char first[32], again[32], other_context[32], other_data[32];

    (void)state;
    assert_int_equal(password_slow_digest("data", 4, "key 1", first), 0);
    assert_int_equal(password_slow_digest("data", 4, "key 1", again), 0);
    assert_int_equal(password_slow_digest("data", 4, "key 2", other_context), 0);
    assert_int_equal(password_slow_digest("date", 4, "key 1", other_data), 0);
    assert_memory_equal(first, again, sizeof(first));
    assert_memory_not_equal(first, other_context, sizeof(first));
    assert_memory_not_equal(first, other_data, sizeof(first));
}

struct racer {
    pthread_t thread;
    pthread_barrier_t *start;
    int result;
};

static void *race(void *context)
{
    struct racer *racer = context;
    char hash[PASSWORD_HASH_SIZE];

    pthread_barrier_wait(racer->start);
    racer->result = password_hash("some password", hash);
    return NULL;
}

/* Three start together where one has a turn and the others wait 1 ms: a hash takes many times as
 * long. Which of them are late is the scheduler's choice, so it is tried until one is. */
static void more_than_allowed_at_once_are_refused(void **state)
{
    int refused = 0, done = 0;

    (void)state;
    assert_int_equal(password_init(&(struct password_settings){
                         .memory_kib = 32768, .passes = 2, .lanes = 1, .at_once = 1, .wait_ms = 1}),
        0);
    for (int tries = 0; refused == 0 && tries < MANY_TRIES; tries++) {
        struct racer racers[3];
        pthread_barrier_t start;

        pthread_barrier_init(&start, NULL, ARRAY_SIZE(racers));
        for (size_t i = 0; i < ARRAY_SIZE(racers); i++) {
            racers[i].start = &start;
            assert_int_equal(pthread_create(&racers[i].thread, NULL, race, &racers[i]), 0);
        }
        for (size_t i = 0; i < ARRAY_SIZE(racers); i++) {
            pthread_join(racers[i].thread, NULL);
            refused += racers[i].result == -EBUSY;
            done += racers[i].result == 0;
        }
        pthread_barrier_destroy(&start);
    }
    assert_true(refused > 0);
    assert_true(done > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_the_right_password_matches),
        cmocka_unit_test(each_hash_has_its_own_salt),
        cmocka_unit_test(an_unknown_user_never_matches),
        cmocka_unit_test(a_broken_hash_is_an_error),
        cmocka_unit_test(other_parameters_are_outdated),
        cmocka_unit_test(the_slow_digest_depends_on_data_and_context),
        cmocka_unit_test(more_than_allowed_at_once_are_refused),
    };

    return cmocka_run_group_tests(tests, set_up, NULL);
}
