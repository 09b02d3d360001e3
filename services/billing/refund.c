/* Events: order.paymentrefused. */
#include "services/billing/refund.h"

#include "services/billing/account.h"
#include "services/billing/bills.h"
#include "services/billing/order_copy.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

static const struct db_statement LOCK = {"refund_lock_bill",
    "select account_id, status, total from bill"
    " where bill_id = $1::bigint and order_id = $2::bigint for update"};

/* Gives back what was paid, unless that was done before. */
static int refund_bill(
    struct db *tx, struct inbox_event *event, int64_t order_id, int64_t bill_id, const char *reason)
{
    AUTO_RESULT PGresult *result = NULL;
    int error = db_query(tx, &LOCK, DB_PARAMS(DB_INT(bill_id), DB_INT(order_id)), &result);
    if (error < 0)
        return error;
    if (PQntuples(result) == 0)
        return inbox_reject(event, "order %" PRId64 " has no bill %" PRId64, order_id, bill_id);
    if (strcmp(db_text(result, 0, 1), "COMPLETED") != 0)
        return 0;
    error = account_post(tx, db_int(result, 0, 0), db_money(result, 0, 2), "REFUND", bill_id, NULL);
    if (error < 0)
        return error;
    AUTO_JSON json_t *more = json_pack("{s:s}", "reason", reason);
    if (!more)
        return -ENOMEM;
    return bills_become(
        tx, bill_id, "REFUNDED", "billing.paymentrefunded", more, event->headers, NULL);
}

int refund_on_payment_refused(struct db *tx, struct inbox_event *event)
{
    struct order_state state = {0};
    int64_t bill_id = 0;
    const char *reason = NULL;
    const struct field fields[] = {
        {"billId", FIELD_INT, .min = 1, .max = INT64_MAX, .target = &bill_id},
        {"reason", FIELD_TEXT, .min = 1, .max = 100, .target = &reason},
    };
    int error = order_copy_read(event, &state);
    if (error == 0)
        error = inbox_fields(event, fields, ARRAY_SIZE(fields));
    if (error == 0)
        error = account_open(tx, state.user_id);
    if (error < 0)
        return error;
    struct account account = {0}; /* locked first, see account.h */
    int found = account_lock(tx, state.user_id, &account);
    if (found < 0)
        return found;
    error = order_copy_keep(tx, &state);
    if (error == 0)
        error = refund_bill(tx, event, state.order_id, bill_id, reason);
    if (error == 0)
        error = bills_follow_order(tx, state.order_id);
    return error;
}
