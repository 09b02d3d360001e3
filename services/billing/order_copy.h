/* The service's copy of orders, which their events keep up to date and the bills follow. */
#ifndef BILLING_ORDER_COPY_H
#define BILLING_ORDER_COPY_H

#include "shared/service/inbox.h"

/* An order as its events tell it. */
struct order_state {
    int64_t order_id, user_id, version;
    int64_t total;      /* cents */
    const char *status; /* borrowed from the event */
};

/* order.created, order.itemsadded, order.itemsremoved, order.confirmed, order.rejected: keeps the
 * newest version and lets the bills follow it. */
inbox_handler order_copy_on_changed;

/* Reads what every order event carries. Returns 0 or what inbox_reject returned. */
MUST_CHECK int order_copy_read(struct inbox_event *event, struct order_state *ret_state);

/* Opens the owner's account, locks the copy of the order and brings it up to the event's state
 * unless it is as new. Errors of db.h. */
MUST_CHECK int order_copy_keep(struct db *tx, const struct order_state *state);

#endif
