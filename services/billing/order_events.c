/* Order events: each carries the order's whole state, so the newest version is kept and the bills
 * are made to follow it, in whatever order and however often the events come. */
#include "services/billing/billing.h"
#include "shared/base/money.h"

#include <string.h>

/* Waits for another transaction that is at this order, and holds the row even when nothing is
 * newer: what follows sees a state that does not move. */
static const struct db_statement KEEP = {"order_keep",
    "insert into order_copy as c (order_id, user_id, status, total, version)"
    " values ($1::bigint, $2::bigint, $3, $4::numeric, $5::bigint)"
    " on conflict (order_id) do update set status = excluded.status, total = excluded.total,"
    " version = excluded.version where c.version < excluded.version"};

static const struct db_statement REJECT = {"bill_reject",
    "update bill set status = 'REJECTED', updated_at = now()"
    " from order_copy o"
    " where bill.order_id = $1::bigint and o.order_id = bill.order_id"
    " and bill.status = 'CREATED' and o.status = 'REJECTED'"};

static const struct db_statement FOLLOW = {"bill_follow",
    "update bill set total = o.total, order_version = o.version, updated_at = now()"
    " from order_copy o"
    " where bill.order_id = $1::bigint and o.order_id = bill.order_id"
    " and bill.status = 'CREATED' and bill.order_version < o.version"
    " and o.status in ('NEW', 'CONFIRMED')"};

static const struct db_statement OPEN = {"bill_open",
    "insert into bill (account_id, order_id, total, order_version)"
    " select a.account_id, o.order_id, o.total, o.version"
    " from order_copy o join account a using (user_id)"
    " where o.order_id = $1::bigint and o.status in ('NEW', 'CONFIRMED')"
    " and not exists (select from bill b where b.order_id = o.order_id"
    "                 and b.status in ('CREATED', 'COMPLETED'))"};

static bool is_status(const char *text)
{
    static const char *const STATUSES[] = {"NEW", "CONFIRMED", "COMPLETED", "REJECTED"};
    for (size_t i = 0; i < ARRAY_SIZE(STATUSES); i++) {
        if (strcmp(STATUSES[i], text) == 0)
            return true;
    }
    return false;
}

int order_read(struct inbox_event *event, struct order_state *ret_state)
{
    struct order_state state = {0};
    const struct field fields[] = {
        {"orderId", FIELD_INT, .min = 1, .max = INT64_MAX, .target = &state.order_id},
        {"userId", FIELD_INT, .min = 1, .max = INT64_MAX, .target = &state.user_id},
        {"status", FIELD_TEXT, .min = 1, .max = 20, .target = &state.status},
        {"total", FIELD_MONEY, .min = 0, .max = MONEY_MAX, .target = &state.total},
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

int order_keep(struct db *tx, const struct order_state *state)
{
    int error = account_open(tx, state->user_id);
    if (error < 0)
        return error;
    return db_query(tx, &KEEP,
        DB_PARAMS(DB_INT(state->order_id), DB_INT(state->user_id), DB_TEXT(state->status),
            DB_MONEY(state->total), DB_INT(state->version)),
        NULL);
}

int order_settle_bills(struct db *tx, int64_t order_id)
{
    static const struct db_statement *const STEPS[] = {&REJECT, &FOLLOW, &OPEN};
    for (size_t i = 0; i < ARRAY_SIZE(STEPS); i++) {
        int error = db_query(tx, STEPS[i], DB_PARAMS(DB_INT(order_id)), NULL);
        if (error < 0)
            return error;
    }
    return 0;
}

int order_changed(struct db *tx, struct inbox_event *event)
{
    struct order_state state = {0};
    int error = order_read(event, &state);
    if (error == 0)
        error = order_keep(tx, &state);
    return error < 0 ? error : order_settle_bills(tx, state.order_id);
}
