/* A user's orders: made, listed, looked at. */
#ifndef ORDER_ORDERS_H
#define ORDER_ORDERS_H

#include "shared/http/http.h"

/* POST /users/{id}/orders {items: [{productId, quantity}]} -> {eventId, orderId}; all of the body
 * is optional. Emits order.created. 404, 409: as items_add_product. */
http_handler orders_create;

/* GET /users/{id}/orders?page=&size= -> [{orderId, userId, status, total}], by orderId. */
http_handler orders_list;

/* GET /users/{id}/orders/{id} -> {orderId, userId, status, total, items: [{productId, quantity,
 * total}]}. */
http_handler orders_get;

#endif
