/* Accounts, bills and the handlers of each file of the service.
 *
 * Lock order, so that nothing deadlocks within one event or request: account, order_copy, bill. */
#ifndef BILLING_BILLING_H
#define BILLING_BILLING_H

#include "shared/db/outbox.h"
#include "shared/http/http.h"
#include "shared/service/inbox.h"

/* An order as its events tell it. */
struct order_state {
    int64_t order_id, user_id, version;
    int64_t total;      /* cents */
    const char *status; /* borrowed from the event */
};

/* ---- account.c ---- */

/* Opens the user's account unless there is one. Errors of db.h. */
MUST_CHECK int account_open(struct db *tx, int64_t user_id);

/* Locks the user's account, which must exist, until the transaction ends. Returns 1, 0 when there
 * is none, or an error of db.h. The results may be NULL. */
MUST_CHECK int account_lock(
    struct db *tx, int64_t user_id, int64_t *ret_account_id, int64_t *ret_balance);

/* Changes the balance of a locked account by `amount` cents and writes its ledger entry: kind
 * "ADDED" (bill_id 0), "PAYMENT" (amount < 0) or "REFUND". Errors of db.h; -ERANGE: more than an
 * account may hold, or less than nothing. ret_entry_id may be NULL. */
MUST_CHECK int account_post(struct db *tx, int64_t account_id, int64_t amount, const char *kind,
    int64_t bill_id, int64_t *ret_entry_id);

/* ---- bills.c ---- */

/* Sets the status of a locked bill and emits an event of it with the members of the JSON object
 * `more` (NULL: none). Errors of db.h. */
MUST_CHECK int bill_become(struct db *tx, int64_t bill_id, const char *status,
    const char *event_type, const json_t *more, const char *headers,
    char ret_event_id[EVENT_ID_SIZE]);

/* ---- order_events.c ---- */

/* Reads what every order event carries. Returns 0 or what inbox_reject returned. */
MUST_CHECK int order_read(struct inbox_event *event, struct order_state *ret_state);

/* Opens the owner's account, locks the copy of the order and brings it up to the event's state
 * unless it is as new. Errors of db.h. */
MUST_CHECK int order_keep(struct db *tx, const struct order_state *state);

/* Makes the bills what the kept state of the order asks for: an open bill of the order's total
 * while the order can be paid and none is paid, no open bill once it is rejected. Errors of db.h.
 */
MUST_CHECK int order_settle_bills(struct db *tx, int64_t order_id);

/* ---- handlers ---- */

http_handler account_get, account_add_money; /* account.c */
http_handler bills_list, bills_get;          /* bills.c */
http_handler payment_confirm;                /* payment.c */
inbox_handler account_user_created;          /* account.c */
inbox_handler order_changed;                 /* order_events.c */
inbox_handler refund_refused_payment;        /* refund.c */

#endif
