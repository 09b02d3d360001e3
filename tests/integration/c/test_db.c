/* The pool and its transactions against a real server: errors by SQLSTATE, retries, lost
 * connections, a restart. */
#include "shared/db.h"
#include "shared/db_internal.h"
#include "shared/log.h"
#include "tests/support/database.h"

#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define TIMEOUT_MS 500

static char *conninfo;

static const struct db_statement ADD = {"test_add", "insert into item (name) values ($1)"};
static const struct db_statement COUNT = {"test_count", "select count(*) from item"};
static const struct db_statement RAISE_CONFLICT = {
    "test_raise_conflict", "select raise_error('40001')"};

static struct db_pool *pool_of(int size)
{
    struct db_pool *pool = db_pool_new(conninfo, "test_db", size, TIMEOUT_MS);
    assert_non_null(pool);
    return pool;
}

static long items(void)
{
    return database_count(conninfo, "select count(*) from item");
}

static int add_item(struct db *tx, void *context)
{
    const char *name = context;
    return db_query(tx, &ADD, DB_PARAMS(DB_TEXT(name)), NULL);
}

/* ---- statements ---- */

static void values_come_back_as_they_went(void **state)
{
    static const struct db_statement ECHO = {"test_echo",
        "select $1::text, $2::bigint, $3::bigint, $4::boolean, $5::numeric(14,2), $6::text"};
    struct db_pool *pool = pool_of(1);
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
    struct db_pool *pool = pool_of(1);
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
    struct db_pool *pool = pool_of(1);
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
    struct db_pool *pool = pool_of(1);
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
    assert_int_equal(add_item(tx, context), 0);
    return -ERANGE;
}

static int give_seven(struct db *tx, void *context)
{
    assert_int_equal(add_item(tx, context), 0);
    return 7;
}

static void commits_or_rolls_back_by_the_result(void **state)
{
    struct db_pool *pool = pool_of(1);
    long before = items();
    (void)state;
    assert_int_equal(db_transact(pool, refuse, "x"), -ERANGE);
    assert_int_equal(items(), before);
    assert_int_equal(db_transact(pool, give_seven, "x"), 7);
    assert_int_equal(items(), before + 1);
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
    int error = add_item(tx, "conflict");
    if (error == 0 && conflicts->attempts <= conflicts->wanted)
        error = db_query(tx, &RAISE_CONFLICT, DB_PARAMS(), NULL);
    return error;
}

static void a_conflict_is_tried_again(void **state)
{
    struct db_pool *pool = pool_of(1);
    struct conflicts twice = {.wanted = 2}, always = {.wanted = 1000};
    long before = items();
    (void)state;
    assert_int_equal(db_transact(pool, conflict_some_times, &twice), 0);
    assert_int_equal(twice.attempts, 3);
    assert_int_equal(items(), before + 1);
    assert_int_equal(db_transact(pool, conflict_some_times, &always), -EAGAIN);
    assert_int_equal(always.attempts, 5);
    assert_int_equal(items(), before + 1);
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
    struct db_pool *pool = pool_of(2);
    pthread_barrier_t barrier;
    pthread_t threads[2];
    struct crossing crossings[2];
    (void)state;
    free(database_query(conninfo,
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
    assert_int_equal(
        database_count(conninfo, "select count(*) from item where id in (1, 2) and name = 'xx'"),
        2);
    pthread_barrier_destroy(&barrier);
    db_pool_free(pool);
}

static int swallow_an_error(struct db *tx, void *context)
{
    (void)!add_item(tx, context);
    (void)!db_exec(tx, "select 1 / 0");
    return 0;
}

static void a_failed_transaction_is_not_taken_for_committed(void **state)
{
    struct db_pool *pool = pool_of(1);
    long before = items();
    (void)state;
    assert_int_equal(db_transact(pool, swallow_an_error, "x"), -EIO);
    assert_int_equal(items(), before);
    assert_int_equal(db_transact(pool, add_item, "x"), 0);
    db_pool_free(pool);
}

/* ---- lost connections ---- */

static int die_at_work(struct db *tx, void *context)
{
    assert_int_equal(add_item(tx, context), 0);
    assert_int_equal(db_exec(tx, "select pg_terminate_backend(pg_backend_pid())"), -ENOTCONN);
    return -ENOTCONN;
}

/* The first time only. */
static int die_once_at_work(struct db *tx, void *context)
{
    bool *died = context;
    int error = add_item(tx, "once");
    if (error < 0 || *died)
        return error;
    *died = true;
    return db_exec(tx, "select pg_terminate_backend(pg_backend_pid())");
}

/* A deferred trigger runs in COMMIT. */
static int die_at_commit(struct db *tx, void *context)
{
    (void)context;
    return db_exec(tx, "insert into deadly values (1)");
}

static void a_connection_lost_in_a_transaction_is_told(void **state)
{
    struct db_pool *pool = pool_of(1);
    long before = items();
    (void)state;
    assert_int_equal(db_transact(pool, die_at_work, "x"), -ENOTCONN);
    assert_int_equal(items(), before);
    assert_int_equal(db_transact(pool, die_at_commit, NULL), -ENOTCONN);
    assert_int_equal(db_transact(pool, add_item, "x"), 0);
    assert_int_equal(items(), before + 1);
    db_pool_free(pool);
}

static void a_transaction_cut_off_before_commit_is_run_again(void **state)
{
    struct db_pool *pool = pool_of(1);
    bool died = false;
    long before = items();
    (void)state;
    assert_int_equal(db_transact(pool, die_once_at_work, &died), 0);
    assert_true(died);
    assert_int_equal(items(), before + 1);
    db_pool_free(pool);
}

static void stale_connections_are_replaced(void **state)
{
    struct db_pool *pool = pool_of(3);
    struct db *held[3];
    (void)state;
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < 3; i++)
            assert_int_equal(db_acquire(pool, &held[i]), 0);
        for (size_t i = 0; i < 3; i++)
            db_release(held[i]);
        database_kick(conninfo);
        long before = items();
        for (int i = 0; i < 4; i++)
            assert_int_equal(db_transact(pool, add_item, "x"), 0);
        assert_int_equal(items(), before + 4);
    }
    db_pool_free(pool);
}

/* The check of an idle connection can miss an end that has not arrived: BEGIN then finds it. */
static void a_connection_that_dies_after_its_check_is_replaced(void **state)
{
    struct db_pool *pool = pool_of(2);
    struct db *db;
    (void)state;
    assert_int_equal(db_acquire(pool, &db), 0);
    PGconn *connection = db_connection(db);
    db_release(db);
    /* The server's end stays open: nothing arrives that poll(2) would see. */
    assert_int_equal(shutdown(PQsocket(connection), SHUT_WR), 0);
    assert_int_equal(db_transact(pool, add_item, "x"), 0);
    db_pool_free(pool);
}

static void survives_a_restart_of_the_server(void **state)
{
    struct db_pool *pool = pool_of(2);
    static const char *const modes[] = {"fast", "immediate"};
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
        assert_int_equal(db_transact(pool, add_item, "before"), 0);
        database_stop(modes[i]);
        database_start();
        assert_int_equal(db_transact(pool, add_item, "after"), 0);
        database_stop(modes[i]);
        for (int attempt = 0; attempt < 3; attempt++)
            assert_int_equal(db_transact(pool, add_item, "while"), -ENOTCONN);
        database_start();
        assert_int_equal(db_transact(pool, add_item, "after"), 0);
    }
    assert_int_equal(database_count(conninfo, "select count(*) from item where name = 'while'"), 0);
    db_pool_free(pool);
}

static void a_silent_server_is_given_up(void **state)
{
    char silent[96];
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof(address);
    struct db *db;
    struct timespec start, end;
    (void)state;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, length), 0);
    assert_int_equal(listen(listener, 8), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &length), 0);
    snprintf(silent, sizeof(silent), "host=127.0.0.1 port=%d connect_timeout=2",
        ntohs(address.sin_port));
    struct db_pool *pool = db_pool_new(silent, "test_db", 1, TIMEOUT_MS);
    clock_gettime(CLOCK_MONOTONIC, &start);
    assert_int_equal(db_acquire(pool, &db), -ENOTCONN);
    clock_gettime(CLOCK_MONOTONIC, &end);
    assert_in_range(end.tv_sec - start.tv_sec, 1, 5);
    db_pool_free(pool);
    close(listener);
}

static void a_server_that_hangs_is_given_up(void **state)
{
    struct db_pool *pool = pool_of(1);
    struct db *db;
    int in_use, open, size;
    long before = items();
    (void)state;
    assert_int_equal(db_acquire(pool, &db), 0);
    assert_int_equal(db_exec(db, "begin"), 0);
    assert_int_equal(add_item(db, "x"), 0);
    database_freeze(conninfo);
    db->answer_timeout_ms = 200;
    assert_int_equal(add_item(db, "x"), -ENOTCONN);
    assert_string_equal(db_error(db), "no answer in time");
    assert_int_equal(db_exec(db, "commit"), -ENOTCONN);
    db_release(db);
    db_pool_usage(pool, &in_use, &open, &size);
    assert_int_equal(open, 0);
    assert_int_equal(db_transact(pool, add_item, "x"), 0); /* on another connection */
    database_thaw();
    assert_int_equal(items(), before + 1);
    db_pool_free(pool);
}

static void several_statements_give_the_last_result_or_the_error(void **state)
{
    struct db_pool *pool = pool_of(1);
    struct db *db;
    long before = items();
    (void)state;
    assert_int_equal(db_acquire(pool, &db), 0);
    assert_int_equal(db_exec(db, ""), 0);
    assert_int_equal(db_exec(db, "select 1; select 2"), 0);
    assert_int_equal(
        db_exec(db, "insert into item (name) values ('a'); select 1 / 0; select 1"), -EIO);
    assert_string_equal(db_sqlstate(db), "22012");
    assert_int_equal(items(), before);
    db_release(db);
    db_pool_free(pool);
}

static void a_standby_counts_as_unavailable(void **state)
{
    struct db_pool *pool = pool_of(1);
    (void)state;
    free(database_query(conninfo,
        "do $$ begin execute format('alter database %I set default_transaction_read_only = on', "
        "current_database()); end $$"));
    assert_int_equal(db_transact(pool, add_item, "x"), -ENOTCONN);
    free(database_query(conninfo,
        "begin read write; do $$ begin execute format('alter database %I reset "
        "default_transaction_read_only', current_database()); end $$; commit"));
    assert_int_equal(db_transact(pool, add_item, "x"), 0);
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
    struct db_pool *pool = pool_of(8);
    struct db *held[8];
    int columns = 0;
    (void)state;
    free(
        database_query(conninfo, "create table changing (a int); insert into changing values (1)"));
    for (size_t i = 0; i < ARRAY_SIZE(held); i++) {
        assert_int_equal(db_acquire(pool, &held[i]), 0);
        assert_int_equal(read_first(held[i], &columns), 0);
    }
    for (size_t i = 0; i < ARRAY_SIZE(held); i++)
        db_release(held[i]);
    free(database_query(conninfo, "alter table changing add column b int"));
    assert_int_equal(db_transact(pool, read_first, &columns), 0);
    assert_int_equal(columns, 2);
    db_pool_free(pool);
}

/* ---- the pool ---- */

static void an_exhausted_pool_refuses_in_time(void **state)
{
    struct db_pool *pool = pool_of(2);
    struct db *held[2], *third = NULL;
    struct timespec start, end;
    int in_use, open, size;
    (void)state;
    assert_int_equal(db_acquire(pool, &held[0]), 0);
    assert_int_equal(db_acquire(pool, &held[1]), 0);
    clock_gettime(CLOCK_MONOTONIC, &start);
    assert_int_equal(db_acquire(pool, &third), -ENOTCONN);
    clock_gettime(CLOCK_MONOTONIC, &end);
    assert_null(third);
    int64_t waited_ms =
        (end.tv_sec - start.tv_sec) * 1000 + (end.tv_nsec - start.tv_nsec) / 1000000;
    assert_in_range(waited_ms, TIMEOUT_MS - 1, TIMEOUT_MS + 2000);
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
    db_pool_free(pool);
}

static void a_connection_left_in_a_transaction_is_closed(void **state)
{
    struct db_pool *pool = pool_of(1);
    struct db *db;
    long before = items();
    int in_use, open, size;
    (void)state;
    assert_int_equal(db_acquire(pool, &db), 0);
    assert_int_equal(db_exec(db, "begin"), 0);
    assert_int_equal(add_item(db, "x"), 0);
    db_release(db);
    db_pool_usage(pool, &in_use, &open, &size);
    assert_int_equal(open, 0);
    assert_int_equal(items(), before);
    db_pool_free(pool);
}

static void *add_many(void *context)
{
    for (int i = 0; i < 50; i++) {
        if (db_transact(context, add_item, "many") != 0)
            return context;
    }
    return NULL;
}

static void many_threads_share_few_connections(void **state)
{
    struct db_pool *pool = db_pool_new(conninfo, "test_db", 4, 20000);
    pthread_t threads[16];
    long before = items();
    int in_use, open, size;
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, add_many, pool), 0);
    for (size_t i = 0; i < ARRAY_SIZE(threads); i++) {
        void *failed = NULL;
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    assert_int_equal(items(), before + 800); /* 16 threads, 50 each */
    db_pool_usage(pool, &in_use, &open, &size);
    assert_int_equal(in_use, 0);
    assert_in_range(open, 1, 4);
    db_pool_free(pool);
}

static void counts_with_the_statement(void **state)
{
    struct db_pool *pool = pool_of(1);
    struct db *db;
    AUTO_RESULT PGresult *row = NULL;
    (void)state;
    assert_int_equal(db_acquire(pool, &db), 0);
    assert_int_equal(db_query(db, &COUNT, DB_PARAMS(), &row), 0);
    assert_int_equal(db_int(row, 0, 0), items());
    db_release(db);
    db_pool_free(pool);
}

static int make_tables(void **state)
{
    (void)state;
    conninfo = database_new();
    free(database_query(conninfo,
        "create table item (id bigint generated by default as identity (start 100) primary key, "
        "  name text not null, price numeric(14,2) check (price >= 0));"
        "create table part (item_id bigint references item);"
        "create function raise_error(state text) returns void language plpgsql as $$"
        "begin raise exception using errcode = state, message = 'raised on purpose'; end $$;"
        "create table deadly (a int);"
        "create function die() returns trigger language plpgsql as $$"
        "begin perform pg_terminate_backend(pg_backend_pid()); perform pg_sleep(10); "
        "return null; end $$;"
        "create constraint trigger dies after insert on deadly deferrable initially deferred "
        "for each row execute function die();"));
    return 0;
}

static int forget_tables(void **state)
{
    (void)state;
    free(conninfo);
    return 0;
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
        cmocka_unit_test(a_connection_lost_in_a_transaction_is_told),
        cmocka_unit_test(a_transaction_cut_off_before_commit_is_run_again),
        cmocka_unit_test(stale_connections_are_replaced),
        cmocka_unit_test(a_connection_that_dies_after_its_check_is_replaced),
        cmocka_unit_test(a_silent_server_is_given_up),
        cmocka_unit_test(a_server_that_hangs_is_given_up),
        cmocka_unit_test(several_statements_give_the_last_result_or_the_error),
        cmocka_unit_test(a_standby_counts_as_unavailable),
        cmocka_unit_test(a_migration_under_way_costs_no_request),
        cmocka_unit_test(an_exhausted_pool_refuses_in_time),
        cmocka_unit_test(a_connection_left_in_a_transaction_is_closed),
        cmocka_unit_test(many_threads_share_few_connections),
        cmocka_unit_test(survives_a_restart_of_the_server),
    };
    log_init("test_db", LOG_LEVEL_ERROR + 1);
    return cmocka_run_group_tests(tests, make_tables, forget_tables);
}
