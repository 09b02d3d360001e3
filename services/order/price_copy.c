/* Events: price.changed. It carries all tiers of a product's price, so the newest version wins. */
#include "services/order/price_copy.h"

#include "shared/base/money.h"

#include <errno.h>
#include <stdio.h>

#define MAX_TIERS 100

/* No row: what is known is as new. */
static const struct db_statement PUT = {"price_put",
    "insert into price_copy as known (product_id, version) values ($1::bigint, $2::bigint)"
    " on conflict (product_id) do update set version = excluded.version"
    " where known.version < excluded.version returning product_id"};

static const struct db_statement DELETE_TIERS = {
    "price_delete_tiers", "delete from price_tier where product_id = $1::bigint"};

static const struct db_statement INSERT_TIERS = {"price_insert_tiers",
    "insert into price_tier (product_id, quantity, value)"
    " select $1::bigint, quantity, value"
    " from jsonb_to_recordset($2::jsonb) as tier (quantity bigint, value numeric)"};

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
        return -ENOMEM;
    int error = db_query(tx, &DELETE_TIERS, DB_PARAMS(DB_INT(product_id)), NULL);
    if (error < 0)
        return error;
    return db_query(tx, &INSERT_TIERS, DB_PARAMS(DB_INT(product_id), DB_TEXT(text)), NULL);
}

int price_copy_on_changed(struct db *tx, struct inbox_event *event)
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
    error = db_query(tx, &PUT, DB_PARAMS(DB_INT(product_id), DB_INT(version)), &put);
    if (error < 0 || PQntuples(put) == 0)
        return error;
    return replace_tiers(tx, product_id, tiers);
}
