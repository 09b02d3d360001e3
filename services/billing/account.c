/* GET /accounts/by-user-id/{id}, POST /accounts/by-user-id/{id}/add-money. Events: user.created. */
#include "services/billing/account.h"

#include "shared/base/money.h"
#include "shared/http/fields.h"

#include <errno.h>

static const struct db_statement OPEN = {"account_open",
    "insert into account (user_id) values ($1::bigint) on conflict (user_id) do nothing"};

/* Not "for update": that would also stop others from referring to the account in a new bill. */
static const struct db_statement LOCK = {"account_lock",
    "select account_id, balance from account where user_id = $1::bigint for no key update"};

static const struct db_statement POST = {"account_post",
    "select entry_id, balance_after from post_entry($1::bigint, $2::numeric, $3, $4::bigint)"};

static const struct db_statement GET = {"account_get",
    "select row_to_json(found) from (select account_id as \"accountId\", user_id as \"userId\","
    " money_text(balance) as money from account where user_id = $1::bigint) found"};

static const struct db_statement EMIT_ADDED = {"account_emit_added",
    "select outbox.emit('account', account_id::text, 'billing.moneyadded',"
    " jsonb_build_object('userId', user_id, 'accountId', account_id, 'entryId', entry_id,"
    "  'money', money_text(amount), 'balance', money_text(balance_after)), $2::jsonb),"
    " money_text(balance_after)"
    " from ledger_entry join account using (account_id) where entry_id = $1::bigint"};

int account_open(struct db *tx, int64_t user_id)
{
    return db_query(tx, &OPEN, DB_PARAMS(DB_INT(user_id)), NULL);
}

int account_lock(struct db *tx, int64_t user_id, struct account *ret_account)
{
    AUTO_RESULT PGresult *result = NULL;
    int error = db_query(tx, &LOCK, DB_PARAMS(DB_INT(user_id)), &result);
    if (error < 0)
        return error;
    if (PQntuples(result) == 0)
        return 0;
    *ret_account = (struct account){.id = db_int(result, 0, 0), .balance = db_money(result, 0, 1)};
    return 1;
}

int account_post(struct db *tx, int64_t account_id, int64_t amount, const char *kind,
    int64_t bill_id, int64_t *ret_entry_id)
{
    AUTO_RESULT PGresult *result = NULL;
    int error = db_query(tx, &POST,
        DB_PARAMS(DB_INT(account_id), DB_MONEY(amount), DB_TEXT(kind),
            bill_id ? DB_INT(bill_id) : DB_NULL()),
        &result);
    if (error < 0)
        return error;
    if (ret_entry_id)
        *ret_entry_id = db_int(result, 0, 0);
    return 0;
}

int account_on_user_created(struct db *tx, struct inbox_event *event)
{
    int64_t user_id = 0;
    const struct field fields[] = {
        {"userId", FIELD_INT, .min = 1, .max = INT64_MAX, .target = &user_id},
    };
    int error = inbox_fields(event, fields, ARRAY_SIZE(fields));
    if (error < 0)
        return error;
    return account_open(tx, user_id);
}

int account_get(struct http_request *request)
{
    return http_reply_query(
        request, "not_found", &GET, DB_PARAMS(DB_INT(http_path_id(request, 0))));
}

/* Emits the event of the entry and replies with what it says. */
static int reply_added(struct http_request *request, struct db *tx, int64_t entry_id)
{
    AUTO_RESULT PGresult *result = NULL;
    int error = db_query(tx, &EMIT_ADDED,
        DB_PARAMS(DB_INT(entry_id), DB_TEXT(http_event_headers(request))), &result);
    if (error < 0)
        return error;
    return http_reply_json(request, 200,
        json_pack("{s:s, s:s}", "eventId", db_text(result, 0, 0), "money", db_text(result, 0, 1)));
}

/* The account may be younger than the user: user.created can be late. */
static int add_money(struct http_request *request, struct db *tx, void *context)
{
    const int64_t *amount = context;
    int64_t user_id = http_path_id(request, 0);
    int error = account_open(tx, user_id);
    if (error < 0)
        return error;
    struct account account = {0};
    int found = account_lock(tx, user_id, &account);
    if (found < 0)
        return found;
    if (!found)
        return -EIO;
    int64_t entry_id = 0;
    error = account_post(tx, account.id, *amount, "ADDED", 0, &entry_id);
    if (error == -ERANGE)
        return http_problem(request, 409, "total_too_large",
            "more than 999999999999.99 can't be added to an account in all");
    if (error < 0)
        return error;
    return reply_added(request, tx, entry_id);
}

int account_add_money(struct http_request *request)
{
    int64_t amount = 0;
    const struct field fields[] = {
        {"money", FIELD_MONEY, .min = 1, .max = MONEY_MAX, .target = &amount},
    };
    int status = fields_body(request, false, fields, ARRAY_SIZE(fields));
    if (status)
        return status;
    return http_transact(request, add_money, &amount);
}
