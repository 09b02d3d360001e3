/* POST /accounts/by-user-id/{id}/bills/{id}/confirm: the bill's status, the ledger and the event
 * change in one transaction. */
#include "services/billing/payment.h"

#include "services/billing/account.h"
#include "services/billing/bills.h"
#include "shared/base/money.h"

#include <errno.h>
#include <string.h>

static const struct db_statement LOCK = {"payment_lock_bill",
    "select status, total, order_version from bill"
    " where account_id = $1::bigint and bill_id = $2::bigint for update"};

struct bill {
    int64_t id, order_version;
    int64_t total; /* cents */
    struct account account;
};

/* Locks the account, then the bill, which must be open. Returns 0, the status of the problem
 * replied with, or an error of db.h. */
static int lock_bill(struct http_request *request, struct db *tx, struct bill *ret_bill)
{
    struct bill bill = {.id = http_path_id(request, 1)};
    int found = account_lock(tx, http_path_id(request, 0), &bill.account);
    if (found < 0)
        return found;
    AUTO_RESULT PGresult *result = NULL;
    int error = db_query(tx, &LOCK, DB_PARAMS(DB_INT(bill.account.id), DB_INT(bill.id)), &result);
    if (error < 0)
        return error;
    if (!found || PQntuples(result) == 0)
        return http_problem(request, 404, "not_found", "bill not found");
    if (strcmp(db_text(result, 0, 0), "CREATED") != 0)
        return http_problem(request, 409, "bill_wrong_status", "a bill that is %s can't be paid",
            db_text(result, 0, 0));
    bill.total = db_money(result, 0, 1);
    bill.order_version = db_int(result, 0, 2);
    *ret_bill = bill;
    return 0;
}

/* Whether the account has enough. Returns 0 or the status of the problem replied with. */
static int check_money(struct http_request *request, const struct bill *bill)
{
    char total[MONEY_TEXT_SIZE], balance[MONEY_TEXT_SIZE];
    if (bill->total == 0)
        return http_problem(request, 409, "bill_empty", "the bill's total is 0");
    if (bill->total > bill->account.balance)
        return http_problem(request, 409, "not_enough_money",
            "the bill's total is %s, the account has %s", money_text(bill->total, total),
            money_text(bill->account.balance, balance));
    return 0;
}

static int pay_bill(struct http_request *request, struct db *tx, void *context)
{
    (void)context;
    struct bill bill = {0};
    int status = lock_bill(request, tx, &bill);
    if (status)
        return status;
    status = check_money(request, &bill);
    if (status)
        return status;
    int error = account_post(tx, bill.account.id, -bill.total, "PAYMENT", bill.id, NULL);
    if (error < 0)
        return error;
    AUTO_JSON json_t *more = json_pack("{s:I}", "orderVersion", (json_int_t)bill.order_version);
    if (!more)
        return -ENOMEM;
    char event_id[EVENT_ID_SIZE];
    error = bills_become(tx, bill.id, "COMPLETED", "billing.paymentcompleted", more,
        http_event_headers(request), event_id);
    if (error < 0)
        return error;
    return http_reply_json(request, 200, json_pack("{s:s}", "eventId", event_id));
}

int payment_confirm(struct http_request *request)
{
    return http_transact(request, pay_bill, NULL);
}
