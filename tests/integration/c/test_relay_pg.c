/* Connections that are of no use any more, and what becomes of a unit then. */
#include "outbox-relay/postgres/pg.h"
#include "shared/base/clock.h"
#include "tests/support/database.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* More parameters than the protocol can have: libpq refuses it, as it would without memory. */
static const struct pg_statement REFUSED = {.name = "", .sql = "select 1", .param_count = 70000};
static const struct pg_statement INSERT = {.name = "", .sql = "insert into noted values (1)"};

static struct {
    char *conninfo;
    struct loop *loop;
    struct pg *pg;
    int lost, committed, failed;
} f;

static void on_done(void *context, const char *sqlstate)
{
    (void)context;
    f.committed += !sqlstate;
    f.failed += sqlstate && strcmp(sqlstate, "08006") == 0;
}

static void on_lost(void *context, const char *sqlstate, const char *message)
{
    (void)context;
    assert_string_equal(sqlstate, "");
    assert_true(strlen(message) > 0);
    f.lost++;
    loop_stop(f.loop);
}

static void on_refused(void *context, const char *message)
{
    (void)context;
    fail_msg("the server refused a statement: %s", message);
}

static int set_up(void **state)
{
    (void)state;
    memset(&f, 0, sizeof(f));
    f.conninfo = database_new();
    free(database_query(f.conninfo, "create table noted (n int)"));
    return loop_new(&f.loop);
}

static int tear_down(void **state)
{
    (void)state;
    pg_free(f.pg);
    loop_free(f.loop);
    free(f.conninfo);
    return 0;
}

/* Connects, calls `opened`, and turns until the connection is lost. */
static void run_until_lost(void (*opened)(void *context))
{
    f.pg = pg_new(f.loop, &(struct pg_settings){
                              .conninfo = f.conninfo,
                              .application_name = "test",
                              .unnamed = true,
                              .opened = opened,
                              .lost = on_lost,
                              .refused = on_refused,
                          });
    assert_non_null(f.pg);
    assert_int_equal(pg_open(f.pg), 0);
    assert_int_equal(loop_run(f.loop), 0);
    assert_int_equal(f.lost, 1);
}

static void send_with_a_refused_one(void *context)
{
    (void)context;
    pg_send(f.pg, &INSERT, NULL, NULL, NULL);
    pg_send(f.pg, &REFUSED, NULL, NULL, NULL);
    pg_commit(f.pg, on_done, NULL);
    pg_send(f.pg, &INSERT, NULL, NULL, NULL); /* would take the first along */
    pg_commit(f.pg, on_done, NULL);
}

static void a_unit_without_one_of_its_statements_takes_no_effect(void **state)
{
    (void)state;
    run_until_lost(send_with_a_refused_one);
    assert_int_equal(f.committed, 0);
    assert_int_equal(f.failed, 2);
    assert_int_equal(database_count(f.conninfo, "select count(*) from noted"), 0);
}

/* libpq finds out while it writes and closes the socket, so that the loop hears nothing of it. */
static void send_after_the_server_has_gone(void *context)
{
    (void)context;
    database_kick(f.conninfo);
    while (database_count(f.conninfo, "select count(*) from pg_stat_activity"
                                      " where datname = current_database()") > 1)
        continue;
    for (int i = 0; i < 3; i++) {
        pg_send(f.pg, &INSERT, NULL, NULL, NULL);
        pg_commit(f.pg, on_done, NULL);
    }
}

static void a_connection_that_breaks_while_it_is_written_to_is_told(void **state)
{
    (void)state;
    run_until_lost(send_after_the_server_has_gone);
    assert_int_equal(f.committed, 0);
    assert_int_equal(f.failed, 3);
}

static void never(void *context)
{
    (void)context;
    fail_msg("called after the owner has gone");
}

/* Whoever connects may go away in the middle of it, with all that it has said. */
static void a_connection_that_is_given_up_outlives_its_owner(void **state)
{
    char setup[] = "create table given_up ()";
    const char *const list[] = {setup, NULL};
    int64_t until_ms = clock_ms() + 20000;
    (void)state;
    f.pg = pg_new(f.loop, &(struct pg_settings){
                              .conninfo = f.conninfo,
                              .application_name = "test",
                              .setup = list,
                              .opened = never,
                              .lost = on_lost,
                              .refused = on_refused,
                          });
    assert_non_null(f.pg);
    assert_int_equal(pg_open(f.pg), 0);
    pg_free(f.pg);
    f.pg = NULL;
    memset(setup, 'x', sizeof(setup) - 1);
    while (
        database_count(f.conninfo, "select count(*) from pg_class where relname = 'given_up'") == 0)
        assert_true(clock_ms() < until_ms);
    assert_int_equal(f.lost, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            a_unit_without_one_of_its_statements_takes_no_effect, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            a_connection_that_breaks_while_it_is_written_to_is_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            a_connection_that_is_given_up_outlives_its_owner, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
