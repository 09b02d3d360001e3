/* Connections that are lost: in a transaction, in COMMIT, while idle; a server that restarts, says
 * nothing, hangs, or has become a standby. */
#include "shared/base/cleanup.h"
#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/db/db.h"
#include "tests/support/database.h"
#include "tests/support/items.h"

#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static int die_at_work(struct db *tx, void *context)
{
    assert_int_equal(items_add(tx, context), 0);
    assert_int_equal(db_exec(tx, "select pg_terminate_backend(pg_backend_pid())"), -ENOTCONN);
    return -ENOTCONN;
}

/* The first time only. */
static int die_once_at_work(struct db *tx, void *context)
{
    bool *died = context;
    int error = items_add(tx, "once");
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
    struct db_pool *pool = items_pool(1);
    long before = items_count();
    (void)state;
    assert_int_equal(db_transact(pool, die_at_work, "x"), -ENOTCONN);
    assert_int_equal(items_count(), before);
    assert_int_equal(db_transact(pool, die_at_commit, NULL), -ENOTCONN);
    assert_int_equal(db_transact(pool, items_add, "x"), 0);
    assert_int_equal(items_count(), before + 1);
    db_pool_free(pool);
}

static void a_transaction_cut_off_before_commit_is_run_again(void **state)
{
    struct db_pool *pool = items_pool(1);
    bool died = false;
    long before = items_count();
    (void)state;
    assert_int_equal(db_transact(pool, die_once_at_work, &died), 0);
    assert_true(died);
    assert_int_equal(items_count(), before + 1);
    db_pool_free(pool);
}

static void stale_connections_are_replaced(void **state)
{
    struct db_pool *pool = items_pool(3);
    struct db *held[3];
    (void)state;
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < 3; i++)
            assert_int_equal(db_acquire(pool, &held[i]), 0);
        for (size_t i = 0; i < 3; i++)
            db_release(held[i]);
        database_kick(items_conninfo);
        long before = items_count();
        for (int i = 0; i < 4; i++)
            assert_int_equal(db_transact(pool, items_add, "x"), 0);
        assert_int_equal(items_count(), before + 4);
    }
    db_pool_free(pool);
}

/* The check of an idle connection can miss an end that has not arrived: BEGIN then finds it. */
static void a_connection_that_dies_after_its_check_is_replaced(void **state)
{
    struct db_pool *pool = items_pool(2);
    struct db *db;
    (void)state;
    assert_int_equal(db_acquire(pool, &db), 0);
    PGconn *connection = db_connection(db);
    db_release(db);
    /* The server's end stays open: nothing arrives that poll(2) would see. */
    assert_int_equal(shutdown(PQsocket(connection), SHUT_WR), 0);
    assert_int_equal(db_transact(pool, items_add, "x"), 0);
    db_pool_free(pool);
}

static void survives_a_restart_of_the_server(void **state)
{
    struct db_pool *pool = items_pool(2);
    static const char *const modes[] = {"fast", "immediate"};
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
        assert_int_equal(db_transact(pool, items_add, "before"), 0);
        database_stop(modes[i]);
        database_start();
        assert_int_equal(db_transact(pool, items_add, "after"), 0);
        database_stop(modes[i]);
        for (int attempt = 0; attempt < 3; attempt++)
            assert_int_equal(db_transact(pool, items_add, "while"), -ENOTCONN);
        database_start();
        assert_int_equal(db_transact(pool, items_add, "after"), 0);
    }
    assert_int_equal(
        database_count(items_conninfo, "select count(*) from item where name = 'while'"), 0);
    db_pool_free(pool);
}

static void a_silent_server_is_given_up(void **state)
{
    char silent[96];
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof(address);
    struct db *db;
    (void)state;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, length), 0);
    assert_int_equal(listen(listener, 8), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &length), 0);
    snprintf(silent, sizeof(silent), "host=127.0.0.1 port=%d connect_timeout=2",
        ntohs(address.sin_port));
    struct db_pool *pool = db_pool_new(silent, "test_db", 1, ITEMS_TIMEOUT_MS);
    int64_t start_ms = clock_ms();
    assert_int_equal(db_acquire(pool, &db), -ENOTCONN);
    assert_in_range(clock_ms() - start_ms, 1000, 5999);
    db_pool_free(pool);
    close(listener);
}

static void a_server_that_hangs_is_given_up(void **state)
{
    struct db_pool *pool = items_pool(1);
    struct db *db;
    int in_use, open, size;
    long before = items_count();
    (void)state;
    assert_int_equal(db_acquire(pool, &db), 0);
    assert_int_equal(db_exec(db, "begin"), 0);
    assert_int_equal(items_add(db, "x"), 0);
    database_freeze(items_conninfo);
    db_answer_timeout(db, 200);
    assert_int_equal(items_add(db, "x"), -ENOTCONN);
    assert_string_equal(db_error(db), "no answer in time");
    assert_int_equal(db_exec(db, "commit"), -ENOTCONN);
    db_release(db);
    db_pool_usage(pool, &in_use, &open, &size);
    assert_int_equal(open, 0);
    assert_int_equal(db_transact(pool, items_add, "x"), 0); /* on another connection */
    database_thaw();
    assert_int_equal(items_count(), before + 1);
    db_pool_free(pool);
}

static void a_standby_counts_as_unavailable(void **state)
{
    struct db_pool *pool = items_pool(1);
    (void)state;
    free(database_query(items_conninfo,
        "do $$ begin execute format('alter database %I set default_transaction_read_only = on', "
        "current_database()); end $$"));
    assert_int_equal(db_transact(pool, items_add, "x"), -ENOTCONN);
    free(database_query(items_conninfo,
        "begin read write; do $$ begin execute format('alter database %I reset "
        "default_transaction_read_only', current_database()); end $$; commit"));
    assert_int_equal(db_transact(pool, items_add, "x"), 0);
    db_pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_connection_lost_in_a_transaction_is_told),
        cmocka_unit_test(a_transaction_cut_off_before_commit_is_run_again),
        cmocka_unit_test(stale_connections_are_replaced),
        cmocka_unit_test(a_connection_that_dies_after_its_check_is_replaced),
        cmocka_unit_test(a_silent_server_is_given_up),
        cmocka_unit_test(a_server_that_hangs_is_given_up),
        cmocka_unit_test(a_standby_counts_as_unavailable),
        cmocka_unit_test(survives_a_restart_of_the_server),
    };
    log_init("test_db_lost", LOG_LEVEL_ERROR + 1);
    return cmocka_run_group_tests(tests, items_start, items_stop);
}
