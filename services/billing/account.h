/* Accounts: opened, looked at, money added; the one way in C to change a balance.
 *
 * Lock order, so that nothing deadlocks within one event or request: account, order_copy, bill. */
#ifndef BILLING_ACCOUNT_H
#define BILLING_ACCOUNT_H

#include "shared/http/http.h"
#include "shared/service/inbox.h"

struct account {
    int64_t id;
    int64_t balance; /* cents */
};

/* GET /accounts/by-user-id/{id} -> {accountId, userId, money}. */
http_handler account_get;

/* POST /accounts/by-user-id/{id}/add-money {money} -> {eventId, money}. Emits billing.moneyadded.
 * 409: more than an account may hold. */
http_handler account_add_money;

/* user.created: opens the user's account. */
inbox_handler account_on_user_created;

/* Opens the user's account unless there is one. Errors of db.h. */
MUST_CHECK int account_open(struct db *tx, int64_t user_id);

/* Reads the user's account and locks its row until the transaction ends. Returns 1; 0 when there is
 * no account; or an error of db.h. */
MUST_CHECK int account_lock(struct db *tx, int64_t user_id, struct account *ret_account);

/* Changes the balance of a locked account by `amount` cents and writes its ledger entry: kind
 * "ADDED" (bill_id 0), "PAYMENT" (amount < 0) or "REFUND". ret_entry_id may be NULL. Errors of
 * db.h; -ERANGE: more than an account may hold, or less than nothing. */
MUST_CHECK int account_post(struct db *tx, int64_t account_id, int64_t amount, const char *kind,
    int64_t bill_id, int64_t *ret_entry_id);

#endif
