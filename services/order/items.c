/* POST /users/{id}/orders/{id}/add-items, POST /users/{id}/orders/{id}/remove-items. */
#include "services/order/items.h"

#include "services/order/order.h"
#include "shared/http/fields.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

static const struct db_statement FIND_PRODUCT = {"item_find_product",
    "select archived from product_copy where product_id = $1::bigint"
    " and exists (select from price_copy where product_id = $1::bigint)"};

static const struct db_statement ADD = {"item_add",
    "insert into order_item as i (order_id, product_id, quantity, total)"
    " values ($1::bigint, $2::bigint, $3::bigint, line_total($2::bigint, $3::bigint))"
    " on conflict (order_id, product_id) do update"
    " set quantity = i.quantity + excluded.quantity,"
    "     total = line_total(i.product_id, i.quantity + excluded.quantity)"};

static const struct db_statement COUNT = {
    "item_count", "select count(*) from order_item where order_id = $1::bigint"};

static const struct db_statement QUANTITY = {"item_quantity",
    "select quantity from order_item where order_id = $1::bigint and product_id = $2::bigint"};

static const struct db_statement REDUCE = {"item_reduce",
    "update order_item set quantity = quantity - $3::bigint,"
    " total = line_total(product_id, quantity - $3::bigint)"
    " where order_id = $1::bigint and product_id = $2::bigint"};

static const struct db_statement DELETE = {"item_delete",
    "delete from order_item where order_id = $1::bigint and product_id = $2::bigint"};

/* A request's {"productId","quantity"}. */
struct change {
    int64_t product_id;
    int64_t quantity;
};

/* Whether the product can be ordered. Returns 0, the status of the problem replied with, or an
 * error of db.h. */
static int check_product(
    struct http_request *request, struct db *tx, int64_t product_id, const char *field)
{
    AUTO_RESULT PGresult *result = NULL;
    int error = db_query(tx, &FIND_PRODUCT, DB_PARAMS(DB_INT(product_id)), &result);
    if (error < 0)
        return error;
    if (PQntuples(result) == 0)
        return http_problem_field(request, 404, "unknown_product", field,
            "%s: no product with a price has this id", field);
    if (db_bool(result, 0, 0))
        return http_problem_field(
            request, 409, "product_archived", field, "%s: the product is no longer sold", field);
    return 0;
}

/* Whether the order has few enough different products. Returns as check_product. */
static int check_count(struct http_request *request, struct db *tx, int64_t order_id)
{
    AUTO_RESULT PGresult *result = NULL;
    int error = db_query(tx, &COUNT, DB_PARAMS(DB_INT(order_id)), &result);
    if (error < 0)
        return error;
    if (db_int(result, 0, 0) > ORDER_MAX_PRODUCTS)
        return http_problem(request, 409, "too_many_products",
            "an order has at most %d different products", ORDER_MAX_PRODUCTS);
    return 0;
}

int items_add_product(struct http_request *request, struct db *tx, int64_t order_id,
    int64_t product_id, int64_t quantity, const char *field)
{
    int status = check_product(request, tx, product_id, field);
    if (status)
        return status;
    int error =
        db_query(tx, &ADD, DB_PARAMS(DB_INT(order_id), DB_INT(product_id), DB_INT(quantity)), NULL);
    if (error == -ERANGE)
        return order_reply_too_dear(request);
    if (error < 0)
        return error;
    return check_count(request, tx, order_id);
}

/* Takes units out of the order. Returns as check_product. */
static int remove_product(
    struct http_request *request, struct db *tx, int64_t order_id, const struct change *change)
{
    AUTO_RESULT PGresult *result = NULL;
    int error =
        db_query(tx, &QUANTITY, DB_PARAMS(DB_INT(order_id), DB_INT(change->product_id)), &result);
    if (error < 0)
        return error;
    if (PQntuples(result) == 0)
        return http_problem_field(
            request, 404, "unknown_item", "productId", "the order has no such product");
    int64_t quantity = db_int(result, 0, 0);
    if (quantity < change->quantity)
        return http_problem_field(request, 409, "not_enough_items", "quantity",
            "the order has only %" PRId64 " of this product", quantity);
    if (quantity == change->quantity)
        return db_query(tx, &DELETE, DB_PARAMS(DB_INT(order_id), DB_INT(change->product_id)), NULL);
    error = db_query(tx, &REDUCE,
        DB_PARAMS(DB_INT(order_id), DB_INT(change->product_id), DB_INT(change->quantity)), NULL);
    return error == -ERANGE ? order_reply_too_dear(request) : error;
}

/* Locks the order and refuses one whose items are fixed. Returns as check_product. */
static int lock_open_order(struct http_request *request, struct db *tx, struct order *ret_order)
{
    struct order order = {0};
    int status = order_lock_requested(request, tx, &order);
    if (status)
        return status;
    if (order.status != ORDER_NEW)
        return http_problem(request, 409, "order_wrong_status",
            "items can be changed while the order is NEW, it is %s",
            order_status_text(order.status));
    *ret_order = order;
    return 0;
}

/* After the items have changed: the total, the event, the reply. */
static int finish(struct http_request *request, struct db *tx, int64_t order_id, const char *type,
    const struct change *change)
{
    int error = order_recount(tx, order_id);
    if (error == -ERANGE)
        return order_reply_too_dear(request);
    if (error < 0)
        return error;
    AUTO_JSON json_t *delta = json_pack("{s:I, s:I}", "productId", (json_int_t)change->product_id,
        "quantity", (json_int_t)change->quantity);
    if (!delta)
        return -ENOMEM;
    char event_id[EVENT_ID_SIZE];
    error = order_emit(tx, order_id, type, delta, http_event_headers(request), event_id);
    if (error < 0)
        return error;
    return http_reply_json(request, 200, json_pack("{s:s}", "eventId", event_id));
}

static int add_items(struct http_request *request, struct db *tx, void *context)
{
    const struct change *change = context;
    struct order order = {0};
    int status = lock_open_order(request, tx, &order);
    if (status)
        return status;
    status =
        items_add_product(request, tx, order.id, change->product_id, change->quantity, "productId");
    if (status)
        return status;
    return finish(request, tx, order.id, "order.itemsadded", change);
}

static int remove_items(struct http_request *request, struct db *tx, void *context)
{
    const struct change *change = context;
    struct order order = {0};
    int status = lock_open_order(request, tx, &order);
    if (status)
        return status;
    status = remove_product(request, tx, order.id, change);
    if (status)
        return status;
    return finish(request, tx, order.id, "order.itemsremoved", change);
}

/* Parses a change and runs the work on it. */
static int change_items(struct http_request *request, http_work *work)
{
    struct change change = {0};
    const struct field fields[] = {
        {"productId", FIELD_INT, .min = 1, .max = INT64_MAX, .target = &change.product_id},
        {"quantity", FIELD_INT, .min = 1, .max = ORDER_MAX_QUANTITY, .target = &change.quantity},
    };
    int status = fields_body(request, false, fields, ARRAY_SIZE(fields));
    if (status)
        return status;
    return http_transact(request, work, &change);
}

int items_add(struct http_request *request)
{
    return change_items(request, add_items);
}

int items_remove(struct http_request *request)
{
    return change_items(request, remove_items);
}
