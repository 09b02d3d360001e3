/* Events: billing.paymentcompleted. A payment completes the order that it fits, or is refused, so
 * that billing gives the money back. */
#include "services/order/payments.h"

#include "services/order/order.h"
#include "shared/base/money.h"

#include <errno.h>
#include <inttypes.h>

struct payment {
    int64_t user_id, bill_id, order_id;
    int64_t total; /* cents */
};

/* No row: this payment is known already. */
static const struct db_statement RECORD = {"payment_record",
    "insert into payment (bill_id, order_id, total, refusal)"
    " values ($1::bigint, $2::bigint, $3::numeric, $4)"
    " on conflict (bill_id) do nothing returning bill_id"};

/* Why the order can't take the payment; NULL when it can. */
static const char *refusal_of(const struct order *order, const struct payment *payment)
{
    if (order->status == ORDER_REJECTED)
        return "order_rejected";
    if (order->status == ORDER_COMPLETED)
        return "order_completed";
    if (order->total != payment->total)
        return "total_mismatch";
    return NULL;
}

static int refuse(
    struct db *tx, const struct payment *payment, const char *reason, const char *headers)
{
    int error = order_touch(tx, payment->order_id);
    if (error < 0)
        return error;
    char paid[MONEY_TEXT_SIZE];
    AUTO_JSON json_t *more = json_pack("{s:I, s:s, s:s}", "billId", (json_int_t)payment->bill_id,
        "paidTotal", money_text(payment->total, paid), "reason", reason);
    if (!more)
        return -ENOMEM;
    return order_emit(tx, payment->order_id, "order.paymentrefused", more, headers, NULL);
}

/* A NEW order is confirmed by being paid; both steps have their event. */
static int accept(struct db *tx, struct order *order, const char *headers)
{
    if (order->status == ORDER_NEW) {
        int error = order_become(tx, order, ORDER_CONFIRMED, headers, NULL);
        if (error < 0)
            return error;
    }
    return order_become(tx, order, ORDER_COMPLETED, headers, NULL);
}

int payments_on_completed(struct db *tx, struct inbox_event *event)
{
    struct payment payment = {0};
    const struct field fields[] = {
        {"userId", FIELD_INT, .min = 1, .max = INT64_MAX, .target = &payment.user_id},
        {"billId", FIELD_INT, .min = 1, .max = INT64_MAX, .target = &payment.bill_id},
        {"orderId", FIELD_INT, .min = 1, .max = INT64_MAX, .target = &payment.order_id},
        {"total", FIELD_MONEY, .min = 1, .max = MONEY_MAX, .target = &payment.total},
    };
    int error = inbox_fields(event, fields, ARRAY_SIZE(fields));
    if (error < 0)
        return error;
    struct order order = {0};
    int found = order_lock(tx, payment.order_id, &order);
    if (found < 0)
        return found;
    if (!found || order.user_id != payment.user_id)
        return inbox_reject(
            event, "user %" PRId64 " has no order %" PRId64, payment.user_id, payment.order_id);

    const char *refusal = refusal_of(&order, &payment);
    AUTO_RESULT PGresult *recorded = NULL;
    error = db_query(tx, &RECORD,
        DB_PARAMS(
            DB_INT(payment.bill_id), DB_INT(order.id), DB_MONEY(payment.total), DB_TEXT(refusal)),
        &recorded);
    if (error < 0)
        return error;
    if (PQntuples(recorded) == 0)
        return 0;
    return refusal ? refuse(tx, &payment, refusal, event->headers)
                   : accept(tx, &order, event->headers);
}
