/* Items of an order, which can be changed while it is NEW. */
#ifndef ORDER_ITEMS_H
#define ORDER_ITEMS_H

#include "shared/http/http.h"

/* POST /users/{id}/orders/{id}/add-items {productId, quantity} -> {eventId}. Emits
 * order.itemsadded. */
http_handler items_add;

/* POST /users/{id}/orders/{id}/remove-items {productId, quantity} -> {eventId}. Emits
 * order.itemsremoved. 404: no such item, 409: fewer units than that. */
http_handler items_remove;

/* Adds units of a product to a locked order, at the price of the service's own copy; the order's
 * total is the caller's to set. `field` names the product in the problem. Returns 0, the status of
 * the problem replied with (404 unknown product, 409 archived, too many or too dear), or an error
 * of db.h. */
MUST_CHECK int items_add_product(struct http_request *request, struct db *tx, int64_t order_id,
    int64_t product_id, int64_t quantity, const char *field);

#endif
