/* Numbered migrations (sql/<set>/NNN_name.sql), embedded at build time, applied in order, each in a
 * transaction, recorded in public.schema_migration(set_name, version, name, checksum, applied_at).
 * An advisory lock makes it safe twice and in parallel. A changed checksum of an applied migration
 * is an error that names it. */
#ifndef SHARED_MIGRATE_H
#define SHARED_MIGRATE_H

#include "shared/base/cleanup.h"
#include "shared/db/db.h"

struct migration {
    int version;      /* NNN */
    const char *name; /* the file's name */
    const char *sql;
};

struct migration_set {
    const char *name; /* the folder under sql/ */
    const struct migration *migrations;
    size_t count;
};

/* Generated from sql/ by scripts/embed-sql.sh. A folder demo-<service> holds demo data. */
extern const struct migration_set sql_outbox, sql_inbox, sql_web, sql_auth, sql_user_profile,
    sql_billing, sql_order, sql_notification, sql_product, sql_price, sql_demo_product,
    sql_demo_price;

/* Applies what is missing of one set. *ret_applied counts what was applied now. Logs each at INFO.
 * Errors as in db.h, -EINVAL for a changed checksum. */
MUST_CHECK int migrate(struct db *db, const struct migration_set *set, int *ret_applied);

#endif
