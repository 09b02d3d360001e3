/* GET /accounts/by-user-id/{id}/bills, GET /accounts/by-user-id/{id}/bills/{id}. */
#include "services/billing/bills.h"

#include <errno.h>
#include <stdio.h>

#define BILLS \
    "(select bill_id as \"billId\", account_id as \"accountId\", order_id as \"orderId\"," \
    " status, money_text(total) as total" \
    " from bill join account using (account_id) where user_id = $1::bigint"

static const struct db_statement LIST = {"bill_list",
    "select coalesce(json_agg(page), '[]'),"
    " (select count(*) from bill join account using (account_id) where user_id = $1::bigint)"
    " from " BILLS " order by bill_id limit $2::bigint offset $3::bigint) page"};

static const struct db_statement GET = {
    "bill_get", "select row_to_json(found) from " BILLS " and bill_id = $2::bigint) found"};

static const struct db_statement SET_STATUS = {"bill_set_status",
    "update bill set status = $2, updated_at = now() where bill_id = $1::bigint"};

static const struct db_statement EMIT = {
    "bill_emit", "select emit_bill($1::bigint, $2, $3::jsonb, $4::jsonb)"};

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

int bills_become(struct db *tx, int64_t bill_id, const char *status, const char *event_type,
    const json_t *more, const char *headers, char ret_event_id[EVENT_ID_SIZE])
{
    int error = db_query(tx, &SET_STATUS, DB_PARAMS(DB_INT(bill_id), DB_TEXT(status)), NULL);
    if (error < 0)
        return error;
    AUTO_FREE char *more_text = more ? json_dumps(more, JSON_COMPACT) : NULL;
    if (more && !more_text)
        return -ENOMEM;
    AUTO_RESULT PGresult *result = NULL;
    error = db_query(tx, &EMIT,
        DB_PARAMS(DB_INT(bill_id), DB_TEXT(event_type), DB_TEXT(more_text), DB_TEXT(headers)),
        &result);
    if (error < 0)
        return error;
    if (ret_event_id)
        snprintf(ret_event_id, EVENT_ID_SIZE, "%s", db_text(result, 0, 0));
    return 0;
}

int bills_follow_order(struct db *tx, int64_t order_id)
{
    static const struct db_statement *const STEPS[] = {&REJECT, &FOLLOW, &OPEN};
    for (size_t i = 0; i < ARRAY_SIZE(STEPS); i++) {
        int error = db_query(tx, STEPS[i], DB_PARAMS(DB_INT(order_id)), NULL);
        if (error < 0)
            return error;
    }
    return 0;
}

int bills_list(struct http_request *request)
{
    return http_reply_page(request, &LIST);
}

int bills_get(struct http_request *request)
{
    return http_reply_query(request, "not_found", &GET,
        DB_PARAMS(DB_INT(http_path_id(request, 0)), DB_INT(http_path_id(request, 1))));
}
