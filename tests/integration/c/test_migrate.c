/* Migrations: once each, also in parallel; a changed or failing one is refused as a whole. */
#include "shared/base/log.h"
#include "shared/db/db.h"
#include "shared/db/migrate.h"
#include "tests/support/database.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static const struct migration FIRST_TWO[] = {
    {1, "001_a.sql", "create table a (x int); comment on table a is 'It''s \"a\" \\ test';"},
    {2, "002_b.sql", "create table b (x int);\ninsert into b values (1);\n"},
};

static const struct migration ALL[] = {
    {1, "001_a.sql", "create table a (x int); comment on table a is 'It''s \"a\" \\ test';"},
    {2, "002_b.sql", "create table b (x int);\ninsert into b values (1);\n"},
    {3, "003_c.sql", "insert into b values (3);"},
};

static const struct migration CHANGED[] = {
    {1, "001_a.sql", "create table a (x int);"},
};

static const struct migration FAILING[] = {
    {1, "001_good.sql", "create table good (x int);"},
    {2, "002_bad.sql", "create table half (x int); select 1 / 0;"},
    {3, "003_never.sql", "create table never (x int);"},
};

static const struct migration ENDING[] = {
    {1, "001_commit.sql", "create table ending (x int); commit;"},
};

static char *conninfo;

static int run(const struct migration *migrations, size_t count, int *ret_applied)
{
    const struct migration_set set = {"test", migrations, count};
    struct db_pool *pool = db_pool_new(conninfo, "test_migrate", 1, 1000);
    struct db *db = NULL;
    assert_int_equal(db_acquire(pool, &db), 0);
    int error = migrate(db, &set, ret_applied);
    db_release(db);
    db_pool_free(pool);
    return error;
}

static long tables_named(const char *names)
{
    char sql[160];
    snprintf(sql, sizeof(sql), "select count(*) from pg_tables where tablename in (%s)", names);
    return database_count(conninfo, sql);
}

static void each_is_applied_once(void **state)
{
    int applied = -1;
    (void)state;
    assert_int_equal(run(FIRST_TWO, 2, &applied), 0);
    assert_int_equal(applied, 2);
    assert_int_equal(run(FIRST_TWO, 2, &applied), 0);
    assert_int_equal(applied, 0);
    assert_int_equal(run(ALL, 3, &applied), 0);
    assert_int_equal(applied, 1);
    assert_int_equal(database_count(conninfo, "select sum(x) from b"), 4);
    /* A program of the version before meets a newer database. */
    assert_int_equal(run(FIRST_TWO, 2, &applied), 0);
    assert_int_equal(applied, 0);
    AUTO_FREE char *comment = database_query(conninfo, "select obj_description('a'::regclass)");
    assert_string_equal(comment, "It's \"a\" \\ test");
    assert_int_equal(database_count(conninfo,
                         "select count(*) from public.schema_migration where set_name = 'test' "
                         "and checksum ~ '^[0-9a-f]{64}$' and name ~ '^00[123]_[abc].sql$'"),
        3);
}

static void a_changed_one_is_refused(void **state)
{
    int applied = -1;
    (void)state;
    assert_int_equal(run(FIRST_TWO, 2, &applied), 0);
    applied = -1;
    assert_int_equal(run(CHANGED, 1, &applied), -EINVAL);
    assert_int_equal(applied, -1);
}

static void a_failing_one_leaves_nothing(void **state)
{
    int applied = -1;
    (void)state;
    assert_int_equal(run(FAILING, 3, &applied), -EIO);
    assert_int_equal(applied, -1);
    assert_int_equal(tables_named("'good'"), 1);
    assert_int_equal(tables_named("'half', 'never'"), 0);
    assert_int_equal(database_count(conninfo, "select count(*) from public.schema_migration"), 1);
}

static void one_that_commits_is_refused(void **state)
{
    int applied = -1;
    (void)state;
    assert_int_equal(run(ENDING, 1, &applied), -EIO);
    assert_int_equal(database_count(conninfo, "select count(*) from public.schema_migration"), 0);
}

static void *run_all(void *context)
{
    return run(ALL, 3, context) == 0 ? NULL : context;
}

static void many_at_once_apply_each_once(void **state)
{
    pthread_t threads[8];
    int applied[8] = {0}, total = 0;
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run_all, &applied[i]), 0);
    for (size_t i = 0; i < ARRAY_SIZE(threads); i++) {
        void *failed = NULL;
        pthread_join(threads[i], &failed);
        assert_null(failed);
        total += applied[i];
    }
    assert_int_equal(total, 3);
    assert_int_equal(database_count(conninfo, "select sum(x) from b"), 4);
}

/* A table, column or function of these schemas that nobody described. */
static const char UNDESCRIBED[] =
    "select coalesce(string_agg(what, ', '), '') from ("
    "  select c.oid::regclass::text as what from pg_class c "
    "    where c.relnamespace in (select oid from pg_namespace where nspname in ('web', 'inbox')) "
    "    and c.relkind in ('r', 'p', 'v') and obj_description(c.oid, 'pg_class') is null "
    "  union all select c.oid::regclass || '.' || a.attname from pg_class c "
    "    join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 "
    "    where c.relnamespace in (select oid from pg_namespace where nspname in ('web', 'inbox')) "
    "    and c.relkind in ('r', 'p', 'v') and col_description(c.oid, a.attnum) is null "
    "  union all select p.oid::regprocedure::text from pg_proc p "
    "    where p.pronamespace in (select oid from pg_namespace where nspname in ('web', 'inbox')) "
    "    and obj_description(p.oid, 'pg_proc') is null "
    "  union all select nspname from pg_namespace "
    "    where nspname in ('web', 'inbox') and obj_description(oid, 'pg_namespace') is null) t";

static void the_shared_sets_apply_and_are_described(void **state)
{
    int applied = -1;
    (void)state;
    assert_int_equal(run(sql_web.migrations, sql_web.count, &applied), 0);
    assert_int_equal(applied, (int)sql_web.count);
    free(database_query(conninfo, "delete from public.schema_migration"));
    assert_int_equal(run(sql_inbox.migrations, sql_inbox.count, &applied), 0);
    AUTO_FREE char *undescribed = database_query(conninfo, UNDESCRIBED);
    assert_string_equal(undescribed, "");
}

static int make_database(void **state)
{
    (void)state;
    conninfo = database_new();
    return 0;
}

static int forget_database(void **state)
{
    (void)state;
    free(conninfo);
    return 0;
}

#define in_a_new_database(test) \
    cmocka_unit_test_setup_teardown(test, make_database, forget_database)

int main(void)
{
    const struct CMUnitTest tests[] = {
        in_a_new_database(each_is_applied_once),
        in_a_new_database(a_changed_one_is_refused),
        in_a_new_database(a_failing_one_leaves_nothing),
        in_a_new_database(one_that_commits_is_refused),
        in_a_new_database(many_at_once_apply_each_once),
        in_a_new_database(the_shared_sets_apply_and_are_described),
    };
    log_init("test_migrate", LOG_LEVEL_ERROR + 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
