/* Events: product.changed, product.archived. Each carries the product's full state, so the newest
 * version wins in whatever order they come. */
#include "services/common/product_copy.h"

static const struct db_statement PUT = {"product_copy_put",
    "insert into product_copy as known (product_id, archived, version)"
    " values ($1::bigint, $2::boolean, $3::bigint)"
    " on conflict (product_id) do update"
    " set archived = excluded.archived, version = excluded.version"
    " where known.version < excluded.version"};

int product_copy_on_changed(struct db *tx, struct inbox_event *event)
{
    int64_t product_id = 0, version = 0;
    const struct field fields[] = {
        {"productId", FIELD_INT, .min = 1, .max = INT64_MAX, .target = &product_id},
        {"version", FIELD_INT, .min = 1, .max = INT64_MAX, .target = &version},
    };
    int error = inbox_fields(event, fields, ARRAY_SIZE(fields));
    if (error < 0)
        return error;
    const json_t *archived = json_object_get(event->data, "archived");
    if (!json_is_boolean(archived))
        return inbox_reject(event, "archived must be true or false");
    return db_query(tx, &PUT,
        DB_PARAMS(DB_INT(product_id), DB_BOOL(json_is_true(archived)), DB_INT(version)), NULL);
}
