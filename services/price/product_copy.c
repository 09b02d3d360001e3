/* The service's copy of products: events carry the full state, the newest version wins. */
#include "services/price/product_copy.h"

#include <errno.h>

static const struct db_statement UPSERT = {"price_upsert_product",
    "insert into product as known (product_id, archived, version) values ($1, $2, $3)"
    " on conflict (product_id) do update"
    " set archived = excluded.archived, version = excluded.version"
    " where known.version < excluded.version"};

int product_copy_update(struct db *tx, struct inbox_event *event)
{
    int64_t product_id, version;
    const struct field fields[] = {
        {"productId", FIELD_INT, false, 1, INT64_MAX, &product_id},
        {"version", FIELD_INT, false, 1, INT64_MAX, &version},
    };
    int error = inbox_fields(event, fields, ARRAY_SIZE(fields));
    if (error < 0)
        return error;
    const json_t *archived = json_object_get(event->data, "archived");
    if (!json_is_boolean(archived))
        return inbox_reject(event, "archived must be true or false");
    return db_query(tx, &UPSERT,
        DB_PARAMS(DB_INT(product_id), DB_BOOL(json_is_true(archived)), DB_INT(version)), NULL);
}
