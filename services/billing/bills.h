/* Bills: listed, looked at; their steps with the events that tell of them. */
#ifndef BILLING_BILLS_H
#define BILLING_BILLS_H

#include "shared/db/outbox.h"
#include "shared/http/http.h"

/* GET /accounts/by-user-id/{id}/bills?page=&size= -> [{billId, accountId, orderId, status, total}],
 * by billId. */
http_handler bills_list;

/* GET /accounts/by-user-id/{id}/bills/{id} -> {billId, accountId, orderId, status, total}. */
http_handler bills_get;

/* Sets the status of a locked bill and emits an event of it with the members of the JSON object
 * `more` (NULL: none). ret_event_id may be NULL. Errors of db.h, -ENOMEM. */
MUST_CHECK int bills_become(struct db *tx, int64_t bill_id, const char *status,
    const char *event_type, const json_t *more, const char *headers,
    char ret_event_id[EVENT_ID_SIZE]);

/* Makes the bills what the service's copy of the order, which is locked, asks for: an open bill of
 * the order's total while the order can be paid and none is paid, no open bill once it is rejected.
 * Errors of db.h. */
MUST_CHECK int bills_follow_order(struct db *tx, int64_t order_id);

#endif
