/* The order as an aggregate, and the handlers of each file of the service. */
#ifndef ORDER_ORDER_H
#define ORDER_ORDER_H

#include "shared/db/outbox.h"
#include "shared/http/http.h"
#include "shared/service/inbox.h"

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

/* ---- order.c ---- */

/* "NEW" and so on; never NULL. */
const char *order_status_text(enum order_status status);

/* Reads the order and locks its row until the transaction ends: first of all locks. Returns 1; 0
 * when there is no such order; or an error of db.h. */
MUST_CHECK int order_lock(struct db *tx, int64_t order_id, struct order *ret_order);

/* The same for a request whose path is /users/{id}/orders/{id}…: another user's order is not found.
 * Returns 0, the status of the problem replied with (404), or an error of db.h. */
MUST_CHECK int order_lock_requested(
    struct http_request *request, struct db *tx, struct order *ret_order);

/* Whether the life of an order has this step. */
bool order_may_become(enum order_status from, enum order_status to);

/* Takes the step (which must be allowed), raises the version and emits the event of that step.
 * Errors of db.h. */
MUST_CHECK int order_become(struct db *tx, struct order *order, enum order_status to,
    const char *headers, char ret_event_id[EVENT_ID_SIZE]);

/* Sets the total to the sum of the items' and raises the version. Errors of db.h; -ERANGE: above
 * the largest sum of money. */
MUST_CHECK int order_recount(struct db *tx, int64_t order_id);

/* Raises the version, for an event that changes nothing else. Errors of db.h. */
MUST_CHECK int order_touch(struct db *tx, int64_t order_id);

/* Emits an event with the order's state as it now is and the members of the JSON object `more`
 * (NULL: none). Errors of db.h. */
MUST_CHECK int order_emit(struct db *tx, int64_t order_id, const char *type, const json_t *more,
    const char *headers, char ret_event_id[EVENT_ID_SIZE]);

/* ---- items.c ---- */

/* Adds units of a product to a locked order, at the price of the service's own copy. Returns 0, the
 * status of the problem replied with (404 unknown product, 409 archived, too many or too dear), or
 * an error of db.h. `field` names the product in the problem. */
MUST_CHECK int items_add(struct http_request *request, struct db *tx, int64_t order_id,
    int64_t product_id, int64_t quantity, const char *field);

/* Replies 409 for an order that costs more than money can say. */
int items_too_dear(struct http_request *request);

/* ---- handlers ---- */

http_handler orders_create, orders_list, orders_get;  /* orders.c */
http_handler items_add_request, items_remove_request; /* items.c */
http_handler status_confirm, status_reject;           /* status.c */
http_handler admin_list, admin_find;                  /* admin.c */
inbox_handler payments_completed;                     /* payments.c */
inbox_handler catalog_product, catalog_price;         /* catalog.c */

#endif
