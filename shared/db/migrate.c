/* Applies numbered migrations, each in a transaction of its own under an advisory lock that ends
 * with it, so that nothing has to be cleaned up after a crash. */
#include "shared/db/migrate.h"
#include "shared/base/hex.h"
#include "shared/base/log.h"
#include "shared/base/sha256.h"
#include "shared/db/result.h"

#include <errno.h>
#include <string.h>

#define CHECKSUM_SIZE (2 * SHA256_SIZE + 1)

/* Migrations may take long and wait for each other; a forgotten lock still ends it. The lock's
 * number is this library's own: "migrate" in ASCII. */
static const char BEGIN[] = "begin isolation level read committed, read write;"
                            "set local statement_timeout = 0;"
                            "set local idle_in_transaction_session_timeout = 0;"
                            "set local lock_timeout = '10min';"
                            "select pg_advisory_xact_lock(x'6d696772617465'::bigint)";

static const char CREATE_TABLE[] =
    "create table if not exists public.schema_migration ("
    "    set_name   text        not null,"
    "    version    integer     not null,"
    "    name       text        not null,"
    "    checksum   text        not null,"
    "    applied_at timestamptz not null default now(),"
    "    primary key (set_name, version));"
    "comment on table public.schema_migration is"
    "    'Migrations that have been applied; written by the programs themselves "
    "(SERVICE_MODE=INIT).';"
    "comment on column public.schema_migration.set_name is 'Folder under sql/.';"
    "comment on column public.schema_migration.version is 'Number at the front of the file name.';"
    "comment on column public.schema_migration.name is 'File name.';"
    "comment on column public.schema_migration.checksum is 'SHA-256 of the file, hexadecimal.';"
    "comment on column public.schema_migration.applied_at is 'When it was applied.'";

static const struct db_statement HAS_TABLE = {
    "migrate_has_table", "select to_regclass('public.schema_migration') is not null"};

static const struct db_statement FIND = {"migrate_find",
    "select checksum from public.schema_migration where set_name = $1 and version = $2"};

static const struct db_statement RECORD = {"migrate_record",
    "insert into public.schema_migration (set_name, version, name, checksum) values ($1, $2, $3, "
    "$4)"};

static int checksum_of(const char *sql, char ret_checksum[CHECKSUM_SIZE])
{
    unsigned char digest[SHA256_SIZE];
    int error = sha256(sql, strlen(sql), digest);
    if (error < 0)
        return error;
    *hex_write(ret_checksum, digest, sizeof(digest)) = '\0';
    return 0;
}

static int create_table(struct db *db)
{
    AUTO_RESULT PGresult *result = NULL;
    int error = db_query(db, &HAS_TABLE, DB_PARAMS(), &result);
    if (error < 0 || db_bool(result, 0, 0))
        return error;
    return db_exec(db, CREATE_TABLE);
}

/* 1 when it was applied before, 0 when not, -EINVAL when another text was applied under its
 * number. */
static int was_applied(struct db *db, const struct migration_set *set,
    const struct migration *migration, const char *checksum)
{
    AUTO_RESULT PGresult *result = NULL;
    int error =
        db_query(db, &FIND, DB_PARAMS(DB_TEXT(set->name), DB_INT(migration->version)), &result);
    if (error < 0)
        return error;
    if (PQntuples(result) == 0)
        return 0;
    if (strcmp(db_text(result, 0, 0), checksum) == 0)
        return 1;
    log_error("migration has changed since it was applied", LOG_TEXT("set", set->name),
        LOG_TEXT("migration", migration->name), LOG_TEXT("applied", db_text(result, 0, 0)),
        LOG_TEXT("now", checksum));
    return -EINVAL;
}

/* Inside the transaction: 1 when applied now, 0 when there was nothing to do. */
static int apply(struct db *db, const struct migration_set *set, const struct migration *migration)
{
    char checksum[CHECKSUM_SIZE];
    int error = checksum_of(migration->sql, checksum);
    if (error < 0)
        return error;
    error = create_table(db);
    if (error < 0)
        return error;
    int applied = was_applied(db, set, migration, checksum);
    if (applied != 0)
        return applied < 0 ? applied : 0;
    error = db_exec(db, migration->sql);
    if (error < 0)
        return error;
    if (PQtransactionStatus(db_connection(db)) != PQTRANS_INTRANS) {
        log_error("migration ended its transaction", LOG_TEXT("migration", migration->name));
        return -EIO;
    }
    error = db_query(db, &RECORD,
        DB_PARAMS(DB_TEXT(set->name), DB_INT(migration->version), DB_TEXT(migration->name),
            DB_TEXT(checksum)),
        NULL);
    return error < 0 ? error : 1;
}

static int apply_in_transaction(
    struct db *db, const struct migration_set *set, const struct migration *migration)
{
    int error = db_exec(db, BEGIN);
    int applied = error < 0 ? error : apply(db, set, migration);
    if (applied >= 0)
        error = db_exec(db, "commit");
    else if (PQtransactionStatus(db_connection(db)) != PQTRANS_IDLE)
        (void)!db_exec(db, "rollback"); /* the first error is the one that counts */
    return error < 0 ? error : applied;
}

static int apply_all(struct db *db, const struct migration_set *set, int *ret_applied)
{
    int count = 0;
    for (size_t i = 0; i < set->count; i++) {
        const struct migration *migration = &set->migrations[i];
        int applied = apply_in_transaction(db, set, migration);
        if (applied < 0) {
            log_error("migration failed", LOG_TEXT("set", set->name),
                LOG_TEXT("migration", migration->name), LOG_TEXT("error", db_error(db)));
            return applied;
        }
        if (applied > 0)
            log_info("migration applied", LOG_TEXT("set", set->name),
                LOG_TEXT("migration", migration->name));
        count += applied;
    }
    *ret_applied = count;
    return 0;
}

int migrate(struct db *db, const struct migration_set *set, int *ret_applied)
{
    int timeout_ms = db_answer_timeout(db, 0);
    int error = apply_all(db, set, ret_applied);
    db_answer_timeout(db, timeout_ms);
    return error;
}
