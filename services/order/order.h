/* The order as an aggregate: its lock, the steps of its life, its total and its events. Whoever
 * changes an order locks it first of all, so that two changes never deadlock. */
#ifndef ORDER_ORDER_H
#define ORDER_ORDER_H

#include "shared/db/outbox.h"
#include "shared/http/http.h"

/* What a user may put into one order. */
#define ORDER_MAX_PRODUCTS 100
#define ORDER_MAX_QUANTITY 1000000

enum order_status { ORDER_NEW, ORDER_CONFIRMED, ORDER_COMPLETED, ORDER_REJECTED };

struct order {
    int64_t id;
    int64_t user_id;
    enum order_status status;
    int64_t total; /* cents */
};

/* "NEW" and so on; never NULL. */
const char *order_status_text(enum order_status status);

/* The other way round. Returns 0, or -EINVAL when the text names no status. */
MUST_CHECK int order_status_parse(const char *text, enum order_status *ret_status);

/* Reads the order and locks its row until the transaction ends. Returns 1; 0 when there is no such
 * order; or an error of db.h. */
MUST_CHECK int order_lock(struct db *tx, int64_t order_id, struct order *ret_order);

/* The same for a request whose path is /users/{id}/orders/{id}…: another user's order is not found.
 * Returns 0, the status of the problem replied with (404), or an error of db.h. */
MUST_CHECK int order_lock_requested(
    struct http_request *request, struct db *tx, struct order *ret_order);

/* Whether the life of an order has this step. */
bool order_may_become(enum order_status from, enum order_status to);

/* Takes the step (which must be allowed), raises the version and emits the event of that step.
 * ret_event_id may be NULL. Errors of db.h. */
MUST_CHECK int order_become(struct db *tx, struct order *order, enum order_status to,
    const char *headers, char ret_event_id[EVENT_ID_SIZE]);

/* Sets the total to the sum of the items' and raises the version. Errors of db.h; -ERANGE: above
 * the largest sum of money. */
MUST_CHECK int order_recount(struct db *tx, int64_t order_id);

/* Raises the version, for an event that changes nothing else. Errors of db.h. */
MUST_CHECK int order_touch(struct db *tx, int64_t order_id);

/* Emits an event with the order's state as it now is and the members of the JSON object `more`
 * (NULL: none). ret_event_id may be NULL. Errors of db.h, -ENOMEM. */
MUST_CHECK int order_emit(struct db *tx, int64_t order_id, const char *type, const json_t *more,
    const char *headers, char ret_event_id[EVENT_ID_SIZE]);

/* Replies 409 for an order that costs more than money can say. */
int order_reply_too_dear(struct http_request *request);

#endif
