/* Events: order.created, order.itemsadded, order.itemsremoved, order.confirmed, order.rejected.
 * Each carries the order's whole state, so the newest version is kept and the bills follow it, in
 * whatever order and however often the events come. */
#include "services/billing/order_copy.h"

#include "services/billing/account.h"
#include "services/billing/bills.h"
#include "shared/base/money.h"

#include <string.h>

/* Waits for another transaction that is at this order, and holds the row even when nothing is
 * newer: what follows sees a state that does not move. */
static const struct db_statement KEEP = {"order_keep",
    "insert into order_copy as known (order_id, user_id, status, total, version)"
    " values ($1::bigint, $2::bigint, $3, $4::numeric, $5::bigint)"
    " on conflict (order_id) do update set status = excluded.status, total = excluded.total,"
    " version = excluded.version where known.version < excluded.version"};

static bool is_status(const char *text)
{
    static const char *const STATUSES[] = {"NEW", "CONFIRMED", "COMPLETED", "REJECTED"};
    for (size_t i = 0; i < ARRAY_SIZE(STATUSES); i++) {
        if (strcmp(STATUSES[i], text) == 0)
            return true;
    }
    return false;
}

int order_copy_read(struct inbox_event *event, struct order_state *ret_state)
{
    struct order_state state = {0};
    const struct field fields[] = {
        {"orderId", FIELD_INT, .min = 1, .max = INT64_MAX, .target = &state.order_id},
        {"userId", FIELD_INT, .min = 1, .max = INT64_MAX, .target = &state.user_id},
        {"status", FIELD_TEXT, .min = 1, .max = 20, .target = &state.status},
        {"total", FIELD_MONEY, .max = MONEY_MAX, .target = &state.total},
        {"version", FIELD_INT, .min = 1, .max = INT64_MAX, .target = &state.version},
    };
    int error = inbox_fields(event, fields, ARRAY_SIZE(fields));
    if (error < 0)
        return error;
    if (!is_status(state.status))
        return inbox_reject(event, "status %s is unknown", state.status);
    *ret_state = state;
    return 0;
}

int order_copy_keep(struct db *tx, const struct order_state *state)
{
    int error = account_open(tx, state->user_id);
    if (error < 0)
        return error;
    return db_query(tx, &KEEP,
        DB_PARAMS(DB_INT(state->order_id), DB_INT(state->user_id), DB_TEXT(state->status),
            DB_MONEY(state->total), DB_INT(state->version)),
        NULL);
}

int order_copy_on_changed(struct db *tx, struct inbox_event *event)
{
    struct order_state state = {0};
    int error = order_copy_read(event, &state);
    if (error == 0)
        error = order_copy_keep(tx, &state);
    if (error == 0)
        error = bills_follow_order(tx, state.order_id);
    return error;
}
