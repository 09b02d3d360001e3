/* POST /users/{id}/orders/{id}/confirm, POST /users/{id}/orders/{id}/reject. */
#include "services/order/status.h"

#include "services/order/order.h"

static const struct db_statement HAS_ITEMS = {
    "order_has_items", "select exists (select from order_item where order_id = $1::bigint)"};

/* Whether there is something to confirm. Returns 0, the status of the problem replied with, or an
 * error of db.h. */
static int check_has_items(struct http_request *request, struct db *tx, int64_t order_id)
{
    AUTO_RESULT PGresult *result = NULL;
    int error = db_query(tx, &HAS_ITEMS, DB_PARAMS(DB_INT(order_id)), &result);
    if (error < 0)
        return error;
    if (!db_bool(result, 0, 0))
        return http_problem(request, 409, "order_empty", "the order has no items");
    return 0;
}

static int take_step(struct http_request *request, struct db *tx, void *context)
{
    enum order_status to = *(const enum order_status *)context;
    struct order order = {0};
    int status = order_lock_requested(request, tx, &order);
    if (status)
        return status;
    if (!order_may_become(order.status, to))
        return http_problem(request, 409, "order_wrong_status",
            "an order that is %s can't become %s", order_status_text(order.status),
            order_status_text(to));
    status = to == ORDER_CONFIRMED ? check_has_items(request, tx, order.id) : 0;
    if (status)
        return status;
    char event_id[EVENT_ID_SIZE];
    int error = order_become(tx, &order, to, http_event_headers(request), event_id);
    if (error < 0)
        return error;
    return http_reply_json(request, 200, json_pack("{s:s}", "eventId", event_id));
}

int status_confirm(struct http_request *request)
{
    enum order_status to = ORDER_CONFIRMED;
    return http_transact(request, take_step, &to);
}

int status_reject(struct http_request *request)
{
    enum order_status to = ORDER_REJECTED;
    return http_transact(request, take_step, &to);
}
