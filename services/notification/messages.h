/* Messages to users about their orders. */
#ifndef NOTIFICATION_MESSAGES_H
#define NOTIFICATION_MESSAGES_H

#include "shared/http/http.h"
#include "shared/service/inbox.h"

/* order.confirmed, order.completed, order.rejected: one message for each order and type. */
inbox_handler messages_on_order_step;

/* GET /users/{id}/notifications?after=&page=&size= -> [{id, userId, orderId, eventId, eventType,
 * eventData}], oldest first; `after` leaves out the ids up to it, so that a client that remembers
 * the last id it has seen misses none and gets none twice. */
http_handler messages_list;

#endif
