/* The order as an aggregate; serves no route of its own. */
#include "services/order/order.h"

#include "shared/base/log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char *const STATUS_TEXTS[] = {
    [ORDER_NEW] = "NEW",
    [ORDER_CONFIRMED] = "CONFIRMED",
    [ORDER_COMPLETED] = "COMPLETED",
    [ORDER_REJECTED] = "REJECTED",
};

/* Every step that exists, and the event that tells of it. */
static const struct {
    enum order_status from, to;
    const char *event_type;
} STEPS[] = {
    {ORDER_NEW, ORDER_CONFIRMED, "order.confirmed"},
    {ORDER_NEW, ORDER_REJECTED, "order.rejected"},
    {ORDER_CONFIRMED, ORDER_COMPLETED, "order.completed"},
    {ORDER_CONFIRMED, ORDER_REJECTED, "order.rejected"},
};

static const struct db_statement LOCK = {"order_lock",
    "select user_id, status, total from orders where order_id = $1::bigint for update"};

static const struct db_statement SET_STATUS = {"order_set_status",
    "update orders set status = $2, version = version + 1, updated_at = now()"
    " where order_id = $1::bigint"};

static const struct db_statement RECOUNT = {"order_recount",
    "update orders set version = version + 1, updated_at = now(), total ="
    " (select coalesce(sum(i.total), 0) from order_item i where i.order_id = orders.order_id)"
    " where order_id = $1::bigint"};

static const struct db_statement TOUCH = {"order_touch",
    "update orders set version = version + 1, updated_at = now() where order_id = $1::bigint"};

static const struct db_statement EMIT = {
    "order_emit", "select emit_order($1::bigint, $2, $3::jsonb, $4::jsonb)"};

const char *order_status_text(enum order_status status)
{
    return STATUS_TEXTS[status];
}

int order_status_parse(const char *text, enum order_status *ret_status)
{
    for (size_t i = 0; i < ARRAY_SIZE(STATUS_TEXTS); i++) {
        if (strcmp(STATUS_TEXTS[i], text) == 0) {
            *ret_status = (enum order_status)i;
            return 0;
        }
    }
    return -EINVAL;
}

int order_lock(struct db *tx, int64_t order_id, struct order *ret_order)
{
    AUTO_RESULT PGresult *result = NULL;
    int error = db_query(tx, &LOCK, DB_PARAMS(DB_INT(order_id)), &result);
    if (error < 0)
        return error;
    if (PQntuples(result) == 0)
        return 0;
    struct order order = {
        .id = order_id,
        .user_id = db_int(result, 0, 0),
        .total = db_money(result, 0, 2),
    };
    const char *status = db_text(result, 0, 1);
    if (order_status_parse(status, &order.status) < 0) {
        log_error("unknown order status", LOG_TEXT("status", status));
        return -EIO;
    }
    *ret_order = order;
    return 1;
}

int order_lock_requested(struct http_request *request, struct db *tx, struct order *ret_order)
{
    struct order order = {0};
    int found = order_lock(tx, http_path_id(request, 1), &order);
    if (found < 0)
        return found;
    if (!found || order.user_id != http_path_id(request, 0))
        return http_problem(request, 404, "not_found", "order not found");
    *ret_order = order;
    return 0;
}

/* The event of a step, NULL when the life of an order has no such step. */
static const char *step_event(enum order_status from, enum order_status to)
{
    for (size_t i = 0; i < ARRAY_SIZE(STEPS); i++) {
        if (STEPS[i].from == from && STEPS[i].to == to)
            return STEPS[i].event_type;
    }
    return NULL;
}

bool order_may_become(enum order_status from, enum order_status to)
{
    return step_event(from, to) != NULL;
}

int order_become(struct db *tx, struct order *order, enum order_status to, const char *headers,
    char ret_event_id[EVENT_ID_SIZE])
{
    int error = db_query(
        tx, &SET_STATUS, DB_PARAMS(DB_INT(order->id), DB_TEXT(order_status_text(to))), NULL);
    if (error < 0)
        return error;
    error = order_emit(tx, order->id, step_event(order->status, to), NULL, headers, ret_event_id);
    if (error == 0)
        order->status = to;
    return error;
}

int order_recount(struct db *tx, int64_t order_id)
{
    return db_query(tx, &RECOUNT, DB_PARAMS(DB_INT(order_id)), NULL);
}

int order_touch(struct db *tx, int64_t order_id)
{
    return db_query(tx, &TOUCH, DB_PARAMS(DB_INT(order_id)), NULL);
}

int order_emit(struct db *tx, int64_t order_id, const char *type, const json_t *more,
    const char *headers, char ret_event_id[EVENT_ID_SIZE])
{
    AUTO_FREE char *more_text = more ? json_dumps(more, JSON_COMPACT) : NULL;
    if (more && !more_text)
        return -ENOMEM;
    AUTO_RESULT PGresult *result = NULL;
    int error = db_query(tx, &EMIT,
        DB_PARAMS(DB_INT(order_id), DB_TEXT(type), DB_TEXT(more_text), DB_TEXT(headers)), &result);
    if (error < 0)
        return error;
    if (ret_event_id)
        snprintf(ret_event_id, EVENT_ID_SIZE, "%s", db_text(result, 0, 0));
    return 0;
}

int order_reply_too_dear(struct http_request *request)
{
    return http_problem(request, 409, "total_too_large",
        "the order would cost more than the largest sum of money, 999999999999.99");
}
