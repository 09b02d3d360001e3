/* POST /users/{id}/orders, GET /users/{id}/orders, GET /users/{id}/orders/{id}. */
#include "services/order/orders.h"

#include "services/order/items.h"
#include "services/order/order.h"
#include "shared/http/fields.h"

#include <errno.h>
#include <stdio.h>

static const struct db_statement INSERT = {
    "order_insert", "insert into orders (user_id) values ($1::bigint) returning order_id"};

/* The total of what was just inserted; the first version stays 1. */
static const struct db_statement SUM = {"order_sum",
    "update orders set total ="
    " (select coalesce(sum(i.total), 0) from order_item i where i.order_id = orders.order_id)"
    " where order_id = $1::bigint"};

static const struct db_statement LIST = {"order_list",
    "select coalesce(json_agg(page order by \"orderId\"), '[]'),"
    " (select count(*) from orders where user_id = $1::bigint)"
    " from (select order_id as \"orderId\", user_id as \"userId\", status,"
    "       money_text(total) as total"
    "       from orders where user_id = $1::bigint"
    "       order by order_id limit $2::bigint offset $3::bigint) page"};

static const struct db_statement GET = {"order_get",
    "select row_to_json(found) from (select order_id as \"orderId\", user_id as \"userId\", status,"
    " money_text(total) as total,"
    " (select coalesce(json_agg(item), '[]')"
    "  from (select product_id as \"productId\", quantity, money_text(i.total) as total"
    "        from order_item i where i.order_id = o.order_id order by product_id) item) as items"
    " from orders o where user_id = $1::bigint and order_id = $2::bigint) found"};

/* Adds one item of the request's list. Returns 0, the status of the problem replied with, or an
 * error of db.h. */
static int add_item(
    struct http_request *request, struct db *tx, int64_t order_id, size_t index, const json_t *item)
{
    char prefix[32], field[64];
    snprintf(prefix, sizeof(prefix), "items[%zu].", index);
    snprintf(field, sizeof(field), "%sproductId", prefix);
    int64_t product_id = 0, quantity = 0;
    const struct field fields[] = {
        {"productId", FIELD_INT, .min = 1, .max = INT64_MAX, .target = &product_id},
        {"quantity", FIELD_INT, .min = 1, .max = ORDER_MAX_QUANTITY, .target = &quantity},
    };
    int status = fields_parse(request, item, prefix, fields, ARRAY_SIZE(fields));
    if (status)
        return status;
    return items_add_product(request, tx, order_id, product_id, quantity, field);
}

static int insert_order(struct db *tx, int64_t user_id, int64_t *ret_order_id)
{
    AUTO_RESULT PGresult *result = NULL;
    int error = db_query(tx, &INSERT, DB_PARAMS(DB_INT(user_id)), &result);
    if (error < 0)
        return error;
    *ret_order_id = db_int(result, 0, 0);
    return 0;
}

static int create_order(struct http_request *request, struct db *tx, void *context)
{
    json_t *items = context; /* NULL: none */
    int64_t order_id = 0;
    int error = insert_order(tx, http_path_id(request, 0), &order_id);
    if (error < 0)
        return error;
    size_t index;
    json_t *item;
    json_array_foreach(items, index, item)
    {
        int status = add_item(request, tx, order_id, index, item);
        if (status)
            return status;
    }
    error = items ? db_query(tx, &SUM, DB_PARAMS(DB_INT(order_id)), NULL) : 0;
    if (error == -ERANGE)
        return order_reply_too_dear(request);
    if (error < 0)
        return error;
    char event_id[EVENT_ID_SIZE];
    error = order_emit(tx, order_id, "order.created", NULL, http_event_headers(request), event_id);
    if (error < 0)
        return error;
    return http_reply_json(request, 200,
        json_pack("{s:s, s:I}", "eventId", event_id, "orderId", (json_int_t)order_id));
}

int orders_create(struct http_request *request)
{
    json_t *items = NULL;
    const struct field fields[] = {
        {"items", FIELD_ARRAY, .optional = true, .max = ORDER_MAX_PRODUCTS, .target = &items},
    };
    int status = fields_body(request, true, fields, ARRAY_SIZE(fields));
    if (status)
        return status;
    return http_transact(request, create_order, items);
}

int orders_list(struct http_request *request)
{
    return http_reply_page(request, &LIST);
}

int orders_get(struct http_request *request)
{
    return http_reply_query(request, "not_found", &GET,
        DB_PARAMS(DB_INT(http_path_id(request, 0)), DB_INT(http_path_id(request, 1))));
}
