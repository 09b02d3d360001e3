/* The owner's word on an order: confirmed or rejected. */
#ifndef ORDER_STATUS_H
#define ORDER_STATUS_H

#include "shared/http/http.h"

/* POST /users/{id}/orders/{id}/confirm -> {eventId}. Emits order.confirmed. 409: the order is not
 * NEW, or has no items. */
http_handler status_confirm;

/* POST /users/{id}/orders/{id}/reject -> {eventId}. Emits order.rejected. 409: the order is
 * COMPLETED or REJECTED. */
http_handler status_reject;

#endif
