/* Emitting from C: an event is there if and only if its transaction committed. */
#include "shared/base/json.h"
#include "shared/base/log.h"
#include "shared/db/migrate.h"
#include "shared/db/outbox.h"
#include "tests/support/database.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static char *conninfo;
static struct db_pool *pool;

struct emission {
    const char *headers;
    int outcome; /* of the work, after it has emitted */
    char event_id[EVENT_ID_SIZE];
};

static int emit(struct db *tx, void *context)
{
    struct emission *emission = context;
    AUTO_JSON json_t *payload = json_pack("{s:s, s:I}", "total", "99.9", "orderId", (json_int_t)7);
    const struct outbox_event event = {
        .aggregate_type = "order",
        .aggregate_id = INT64_MAX,
        .type = "order.created",
        .payload = payload,
        .headers = emission->headers,
    };
    int error = outbox_emit(tx, &event, emission->event_id);
    return error < 0 ? error : emission->outcome;
}

static long events(void)
{
    return database_count(conninfo, "select count(*) from outbox.event");
}

static void an_event_is_there_after_commit(void **state)
{
    struct emission emission = {.headers = "{\"traceparent\":\"00-1-2-01\"}"};
    long before = events();
    (void)state;
    assert_int_equal(db_transact(pool, emit, &emission), 0);
    assert_int_equal(strlen(emission.event_id), 36);
    assert_int_equal(events(), before + 1);
    AUTO_FREE char *row =
        database_query(conninfo, "select concat_ws(' ', event_id, aggregate_type, aggregate_id, "
                                 "event_type, payload, headers)"
                                 " from outbox.event order by id desc limit 1");
    assert_memory_equal(row, emission.event_id, 36);
    assert_string_equal(row + 36,
        " order 9223372036854775807 order.created {\"total\": \"99.9\", \"orderId\": 7} "
        "{\"traceparent\": \"00-1-2-01\"}");
}

static void an_event_is_gone_after_rollback(void **state)
{
    struct emission emission = {.outcome = -EEXIST};
    long before = events();
    (void)state;
    assert_int_equal(db_transact(pool, emit, &emission), -EEXIST);
    assert_int_equal(events(), before);
}

static void bad_headers_are_an_error(void **state)
{
    struct emission emission = {.headers = "not JSON"};
    long before = events();
    (void)state;
    assert_int_equal(db_transact(pool, emit, &emission), -EIO);
    assert_string_equal(emission.event_id, "");
    assert_int_equal(events(), before);
}

static int start(void **state)
{
    int applied;
    struct db *db;
    (void)state;
    conninfo = database_new();
    pool = db_pool_new(conninfo, "test_outbox", 2, 1000);
    assert_int_equal(db_acquire(pool, &db), 0);
    assert_int_equal(migrate(db, &sql_outbox, &applied), 0);
    assert_int_equal(migrate(db, &sql_outbox, &applied), 0);
    assert_int_equal(applied, 0);
    db_release(db);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    db_pool_free(pool);
    free(conninfo);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_event_is_there_after_commit),
        cmocka_unit_test(an_event_is_gone_after_rollback),
        cmocka_unit_test(bad_headers_are_an_error),
    };
    log_init("test_outbox", LOG_LEVEL_ERROR + 1);
    return cmocka_run_group_tests(tests, start, stop);
}
