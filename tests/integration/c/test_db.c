/* The pool and its transactions against a real server: values, errors by SQLSTATE, conflicts. What
 * becomes of lost connections is in test_db_lost.c. */
#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/db/db.h"
#include "shared/db/result.h"
#include "tests/support/database.h"
#include "tests/support/items.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static const struct db_statement COUNT = {"test_count", "select count(*) from item"};
static const struct db_statement RAISE_CONFLICT = {
    "test_raise_conflict", "select raise_error('40001')"};

/* ---- statements ---- */

static void values_come_back_as_they_went(void **state)
{
    static const struct db_statement ECHO = {"test_echo",
        "select $1::text, $2::bigint, $3::bigint, $4::boolean, $5::numeric(14,2), $6::text"};
    struct db_pool *pool = items_pool(1);
    struct db *db;
    (void)state;
    assert_int_equal(db_acquire(pool, &db), 0);
    for (int i = 0; i < 2; i++) { /* prepared, then used again */
        AUTO_RESULT PGresult *row = NULL;
        assert_int_equal(db_query(db, &ECHO,
                             DB_PARAMS(DB_TEXT("a'b\"\\ é"), DB_INT(INT64_MIN), DB_INT(INT64_MAX),
                                 DB_BOOL(true), DB_MONEY(-1205), DB_NULL()),
                             &row),
            0);
        assert_string_equal(db_text(row, 0, 0), "a'b\"\\ é");
        assert_true(db_int(row, 0, 1) == INT64_MIN);
        assert_true(db_int(row, 0, 2) == INT64_MAX);
        assert_true(db_bool(row, 0, 3));
        assert_int_equal(db_money(row, 0, 4), -1205);
        assert_null(db_text(row, 0, 5));
        assert_int_equal(db_int(row, 0, 5), 0);
    }
    db_release(db);
    db_pool_free(pool);
}

static void more_statements_than_the_first_table_holds(void **state)
{
    enum { STATEMENTS = 200 };
    static char names[STATEMENTS][32];
    struct db_pool *pool = items_pool(1);
    struct db *db;
    (void)state;
    assert_int_equal(db_acquire(pool, &db), 0);
    for (int i = 0; i < 2 * STATEMENTS; i++) {
        int n = i % STATEMENTS;
        char sql[64];
        snprintf(names[n], sizeof(names[n]), "test_many_%d", n);
        snprintf(sql, sizeof(sql), "select %d", n);
        const struct db_statement statement = {names[n], sql};
        AUTO_RESULT PGresult *row = NULL;
        assert_int_equal(db_query(db, &statement, DB_PARAMS(), &row), 0);
        assert_int_equal(db_int(row, 0, 0), n);
    }
    db_release(db);
    db_pool_free(pool);
}

static void errors_follow_the_sqlstate(void **state)
{
    static const struct {
        const char *sqlstate;
        int error;
    } cases[] = {
        {"40001", -EAGAIN},
        {"40P01", -EAGAIN},
        {"23505", -EEXIST},
        {"22003", -ERANGE},
        {"23514", -ERANGE},
        {"23503", -ENOENT},
        {"23502", -EIO},
        {"42P01", -EIO},
        {"57014", -EIO},
        {"P0001", -EIO},
        {"08006", -ENOTCONN},
        {"53300", -ENOTCONN},
        {"53100", -ENOTCONN},
        {"57P01", -ENOTCONN},
        {"57P02", -ENOTCONN},
        {"57P03", -ENOTCONN},
        {"25006", -ENOTCONN},
    };
    static const struct db_statement RAISE = {"test_raise", "select raise_error($1)"};
    struct db_pool *pool = items_pool(1);
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct db *db;
        PGresult *result = NULL;
        assert_int_equal(db_acquire(pool, &db), 0);
        assert_int_equal(
            db_query(db, &RAISE, DB_PARAMS(DB_TEXT(cases[i].sqlstate)), &result), cases[i].error);
        assert_null(result);
        assert_string_equal(db_sqlstate(db), cases[i].sqlstate);
        assert_string_equal(db_error(db), "raised on purpose");
        db_release(db);
    }
    db_pool_free(pool);
}

static void real_violations_are_told_apart(void **state)
{
    static const struct {
        const char *sql;
        int error;
    } cases[] = {
        {"insert into item (id, name) values (-1, 'x'), (-1, 'y')", -EEXIST},
        {"insert into item (name, price) values ('x', -1)", -ERANGE},
        {"insert into item (name, price) values ('x', 1e13)", -ERANGE},
        {"insert into part (item_id) values (-99)", -ENOENT},
        {"select 9223372036854775807 + 1", -ERANGE},
        {"select no_such_column", -EIO},
        {"not sql", -EIO},
    };
    struct db_pool *pool = items_pool(1);
    struct db *db;
    (void)state;
    assert_int_equal(db_acquire(pool, &db), 0);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        assert_int_equal(db_exec(db, cases[i].sql), cases[i].error);
    db_release(db);
    db_pool_free(pool);
}

/* ---- transactions ---- */

static int refuse(struct db *tx, void *context)
{
    assert_int_equal(items_add(tx, context), 0);
    return -ERANGE;
}

static int give_seven(struct db *tx, void *context)
{
    assert_int_equal(items_add(tx, context), 0);
    return 7;
}

static void commits_or_rolls_back_by_the_result(void **state)
{
    struct db_pool *pool = items_pool(1);
    long before = items_count();
    (void)state;
    assert_int_equal(db_transact(pool, refuse, "x"), -ERANGE);
    assert_int_equal(items_count(), before);
    assert_int_equal(db_transact(pool, give_seven, "x"), 7);
    assert_int_equal(items_count(), before + 1);
    db_pool_free(pool);
}

struct conflicts {
    int wanted; /* attempts that are to fail */
    int attempts;
};

static int conflict_some_times(struct db *tx, void *context)
{
    struct conflicts *conflicts = context;
    conflicts->attempts++;
    int error = items_add(tx, "conflict");
    if (error == 0 && conflicts->attempts <= conflicts->wanted)
        error = db_query(tx, &RAISE_CONFLICT, DB_PARAMS(), NULL);
    return error;
}

static void a_conflict_is_tried_again(void **state)
{
    struct db_pool *pool = items_pool(1);
    struct conflicts twice = {.wanted = 2}, always = {.wanted = 1000};
    long before = items_count();
    (void)state;
    assert_int_equal(db_transact(pool, conflict_some_times, &twice), 0);
    assert_int_equal(twice.attempts, 3);
    assert_int_equal(items_count(), before + 1);
    assert_int_equal(db_transact(pool, conflict_some_times, &always), -EAGAIN);
    assert_int_equal(always.attempts, 5);
    assert_int_equal(items_count(), before + 1);
    db_pool_free(pool);
}

struct crossing {
    struct db_pool *pool;
    pthread_barrier_t *barrier;
    bool other_way, met;
    int outcome;
};

static const struct db_statement LOCK_ROW = {
    "test_lock_row", "update item set name = name || 'x' where id = $1"};

/* Locks rows 1 and 2 in one order or the other; in the first attempt both have one before either
 * asks for the second. */
static int lock_crosswise(struct db *tx, void *context)
{
    struct crossing *crossing = context;
    int error = db_query(tx, &LOCK_ROW, DB_PARAMS(DB_INT(crossing->other_way ? 2 : 1)), NULL);
    if (!crossing->met)
        pthread_barrier_wait(crossing->barrier);
    crossing->met = true;
    if (error == 0)
        error = db_query(tx, &LOCK_ROW, DB_PARAMS(DB_INT(crossing->other_way ? 1 : 2)), NULL);
    return error;
}

static void *transact_crosswise(void *context)
{
    struct crossing *crossing = context;
    crossing->outcome = db_transact(crossing->pool, lock_crosswise, crossing);
    return NULL;
}

static void a_deadlock_is_resolved(void **state)
{
    struct db_pool *pool = items_pool(2);
    pthread_barrier_t barrier;
    pthread_t threads[2];
    struct crossing crossings[2];
    (void)state;
    free(database_query(items_conninfo,
        "insert into item (id, name) overriding system value "
        "values (1, ''), (2, '') on conflict (id) do update set name = ''"));
    pthread_barrier_init(&barrier, NULL, 2);
    for (size_t i = 0; i < 2; i++) {
        crossings[i] = (struct crossing){.pool = pool, .barrier = &barrier, .other_way = i == 1};
        assert_int_equal(pthread_create(&threads[i], NULL, transact_crosswise, &crossings[i]), 0);
    }
    for (size_t i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(crossings[i].outcome, 0);
    }
    assert_int_equal(database_count(items_conninfo,
                         "select count(*) from item where id in (1, 2) and name = 'xx'"),
        2);
    pthread_barrier_destroy(&barrier);
    db_pool_free(pool);
}

static int swallow_an_error(struct db *tx, void *context)
{
    (void)!items_add(tx, context);
    (void)!db_exec(tx, "select 1 / 0");
    return 0;
}

static void a_failed_transaction_is_not_taken_for_committed(void **state)
{
    struct db_pool *pool = items_pool(1);
    long before = items_count();
    (void)state;
    assert_int_equal(db_transact(pool, swallow_an_error, "x"), -EIO);
    assert_int_equal(items_count(), before);
    assert_int_equal(db_transact(pool, items_add, "x"), 0);
    db_pool_free(pool);
}

static void several_statements_give_the_last_result_or_the_error(void **state)
{
    struct db_pool *pool = items_pool(1);
    struct db *db;
    long before = items_count();
    (void)state;
    assert_int_equal(db_acquire(pool, &db), 0);
    assert_int_equal(db_exec(db, ""), 0);
    assert_int_equal(db_exec(db, "select 1; select 2"), 0);
    assert_int_equal(
        db_exec(db, "insert into item (name) values ('a'); select 1 / 0; select 1"), -EIO);
    assert_string_equal(db_sqlstate(db), "22012");
    assert_int_equal(items_count(), before);
    db_release(db);
    db_pool_free(pool);
}

static int read_first(struct db *tx, void *context)
{
    static const struct db_statement FIRST = {"test_first", "select * from changing"};
    AUTO_RESULT PGresult *row = NULL;
    int error = db_query(tx, &FIRST, DB_PARAMS(), &row);
    if (error == 0)
        *(int *)context = PQnfields(row);
    return error;
}

static void a_migration_under_way_costs_no_request(void **state)
{
    struct db_pool *pool = items_pool(8);
    struct db *held[8];
    int columns = 0;
    (void)state;
    free(database_query(
        items_conninfo, "create table changing (a int); insert into changing values (1)"));
    for (size_t i = 0; i < ARRAY_SIZE(held); i++) {
        assert_int_equal(db_acquire(pool, &held[i]), 0);
        assert_int_equal(read_first(held[i], &columns), 0);
    }
    for (size_t i = 0; i < ARRAY_SIZE(held); i++)
        db_release(held[i]);
    free(database_query(items_conninfo, "alter table changing add column b int"));
    assert_int_equal(db_transact(pool, read_first, &columns), 0);
    assert_int_equal(columns, 2);
    db_pool_free(pool);
}

/* ---- the pool ---- */

static void an_exhausted_pool_refuses_in_time(void **state)
{
    struct db_pool *pool = items_pool(2);
    struct db *held[2], *third = NULL;
    int in_use, open, size;
    (void)state;
    assert_false(db_pool_busy(pool));
    assert_int_equal(db_acquire(pool, &held[0]), 0);
    assert_false(db_pool_busy(pool));
    assert_int_equal(db_acquire(pool, &held[1]), 0);
    assert_true(db_pool_busy(pool));
    int64_t start_ms = clock_ms();
    assert_int_equal(db_acquire(pool, &third), -ENOTCONN);
    assert_null(third);
    int64_t waited_ms = clock_ms() - start_ms;
    assert_in_range(waited_ms, ITEMS_TIMEOUT_MS - 1, ITEMS_TIMEOUT_MS + 2000);
    db_pool_usage(pool, &in_use, &open, &size);
    assert_int_equal(in_use, 2);
    assert_int_equal(open, 2);
    assert_int_equal(size, 2);
    db_release(held[0]);
    assert_int_equal(db_acquire(pool, &third), 0);
    db_release(third);
    db_release(held[1]);
    db_pool_usage(pool, &in_use, &open, &size);
    assert_int_equal(in_use, 0);
    assert_false(db_pool_busy(pool));
    db_pool_free(pool);
}

static void a_connection_left_in_a_transaction_is_closed(void **state)
{
    struct db_pool *pool = items_pool(1);
    struct db *db;
    long before = items_count();
    int in_use, open, size;
    (void)state;
    assert_int_equal(db_acquire(pool, &db), 0);
    assert_int_equal(db_exec(db, "begin"), 0);
    assert_int_equal(items_add(db, "x"), 0);
    db_release(db);
    db_pool_usage(pool, &in_use, &open, &size);
    assert_int_equal(open, 0);
    assert_int_equal(items_count(), before);
    db_pool_free(pool);
}

static void *add_many(void *context)
{
    for (int i = 0; i < 50; i++) {
        if (db_transact(context, items_add, "many") != 0)
            return context;
    }
    return NULL;
}

static void many_threads_share_few_connections(void **state)
{
    struct db_pool *pool = db_pool_new(items_conninfo, "test_db", 4, 20000);
    pthread_t threads[16];
    long before = items_count();
    int in_use, open, size;
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, add_many, pool), 0);
    for (size_t i = 0; i < ARRAY_SIZE(threads); i++) {
        void *failed = NULL;
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    assert_int_equal(items_count(), before + 800); /* 16 threads, 50 each */
    db_pool_usage(pool, &in_use, &open, &size);
    assert_int_equal(in_use, 0);
    assert_in_range(open, 1, 4);
    db_pool_free(pool);
}

static void counts_with_the_statement(void **state)
{
    struct db_pool *pool = items_pool(1);
    struct db *db;
    AUTO_RESULT PGresult *row = NULL;
    (void)state;
    assert_int_equal(db_acquire(pool, &db), 0);
    assert_int_equal(db_query(db, &COUNT, DB_PARAMS(), &row), 0);
    assert_int_equal(db_int(row, 0, 0), items_count());
    db_release(db);
    db_pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_come_back_as_they_went),
        cmocka_unit_test(more_statements_than_the_first_table_holds),
        cmocka_unit_test(counts_with_the_statement),
        cmocka_unit_test(errors_follow_the_sqlstate),
        cmocka_unit_test(real_violations_are_told_apart),
        cmocka_unit_test(commits_or_rolls_back_by_the_result),
        cmocka_unit_test(a_conflict_is_tried_again),
        cmocka_unit_test(a_deadlock_is_resolved),
        cmocka_unit_test(a_failed_transaction_is_not_taken_for_committed),
        cmocka_unit_test(several_statements_give_the_last_result_or_the_error),
        cmocka_unit_test(a_migration_under_way_costs_no_request),
        cmocka_unit_test(an_exhausted_pool_refuses_in_time),
        cmocka_unit_test(a_connection_left_in_a_transaction_is_closed),
        cmocka_unit_test(many_threads_share_few_connections),
    };
    log_init("test_db", LOG_LEVEL_ERROR + 1);
    return cmocka_run_group_tests(tests, items_start, items_stop);
}
