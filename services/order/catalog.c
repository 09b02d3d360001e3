/* product.changed, product.archived, price.changed: the service's own copy of what it must know to
 * take items, so that adding one needs no call to another service. */
#include "services/order/order.h"
#include "shared/base/money.h"

#include <errno.h>
#include <stdio.h>

#define MAX_TIERS 100

static const struct db_statement PUT_PRODUCT = {"product_put",
    "insert into product_copy as c (product_id, archived, version)"
    " values ($1::bigint, $2::boolean, $3::bigint)"
    " on conflict (product_id) do update"
    " set archived = excluded.archived, version = excluded.version"
    " where c.version < excluded.version"};

/* No row: what is known is as new. */
static const struct db_statement PUT_PRICE = {"price_put",
    "insert into price_copy as c (product_id, version) values ($1::bigint, $2::bigint)"
    " on conflict (product_id) do update set version = excluded.version"
    " where c.version < excluded.version returning product_id"};

static const struct db_statement DELETE_TIERS = {
    "price_delete_tiers", "delete from price_tier where product_id = $1::bigint"};

static const struct db_statement INSERT_TIERS = {"price_insert_tiers",
    "insert into price_tier (product_id, quantity, value)"
    " select $1::bigint, quantity, value"
    " from jsonb_to_recordset($2::jsonb) as tier (quantity bigint, value numeric)"};

int catalog_product(struct db *tx, struct inbox_event *event)
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
    return db_query(tx, &PUT_PRODUCT,
        DB_PARAMS(DB_INT(product_id), DB_BOOL(json_is_true(archived)), DB_INT(version)), NULL);
}

/* The first tier must hold from the first unit, and each further one from a larger quantity. */
static int check_tiers(struct inbox_event *event, const json_t *tiers)
{
    int64_t last = 0;
    size_t index;
    json_t *tier;
    json_array_foreach(tiers, index, tier)
    {
        int64_t quantity = 0, value = 0;
        const struct field fields[] = {
            {"quantity", FIELD_INT, .min = 1, .max = INT64_MAX, .target = &quantity},
            {"value", FIELD_MONEY, .min = 0, .max = MONEY_MAX, .target = &value},
        };
        char prefix[32];
        snprintf(prefix, sizeof(prefix), "prices[%zu].", index);
        struct field_error error;
        if (fields_read(tier, prefix, fields, ARRAY_SIZE(fields), &error) < 0)
            return inbox_reject(event, "%s %s", error.field, error.message);
        if (index == 0 ? quantity != 1 : quantity <= last)
            return inbox_reject(event, "%squantity must %s", prefix,
                index == 0 ? "be 1" : "be larger than that of the tier before");
        last = quantity;
    }
    return 0;
}

static int replace_tiers(struct db *tx, int64_t product_id, const json_t *tiers)
{
    AUTO_FREE char *text = json_dumps(tiers, JSON_COMPACT);
    if (!text)
        return -EIO;
    int error = db_query(tx, &DELETE_TIERS, DB_PARAMS(DB_INT(product_id)), NULL);
    if (error < 0)
        return error;
    return db_query(tx, &INSERT_TIERS, DB_PARAMS(DB_INT(product_id), DB_TEXT(text)), NULL);
}

int catalog_price(struct db *tx, struct inbox_event *event)
{
    int64_t product_id = 0, version = 0;
    json_t *tiers = NULL;
    const struct field fields[] = {
        {"productId", FIELD_INT, .min = 1, .max = INT64_MAX, .target = &product_id},
        {"version", FIELD_INT, .min = 1, .max = INT64_MAX, .target = &version},
        {"prices", FIELD_ARRAY, .min = 1, .max = MAX_TIERS, .target = &tiers},
    };
    int error = inbox_fields(event, fields, ARRAY_SIZE(fields));
    if (error == 0)
        error = check_tiers(event, tiers);
    if (error < 0)
        return error;
    AUTO_RESULT PGresult *put = NULL;
    error = db_query(tx, &PUT_PRICE, DB_PARAMS(DB_INT(product_id), DB_INT(version)), &put);
    if (error < 0 || PQntuples(put) == 0)
        return error;
    return replace_tiers(tx, product_id, tiers);
}
