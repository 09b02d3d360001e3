/* GET /orders, POST /orders/find-by-filter. */
#include "services/order/admin.h"

#include "services/order/order_filter.h"

#include <stdio.h>

/* $1 ids, $2 user ids, $3 statuses, $4 and $5 totals, $6 limit, $7 offset. */
#define CONDITION \
    "($1::bigint[] is null or order_id = any ($1::bigint[]))" \
    " and ($2::bigint[] is null or user_id = any ($2::bigint[]))" \
    " and ($3::text[] is null or status = any ($3::text[]))" \
    " and total between $4::numeric and $5::numeric"

/* The items of a page and how many there are in all. Both %s are the filter's sort; its ties are
 * broken by the identity, so that pages neither repeat nor miss an order. Its columns have their
 * table's name, since a bare "total" would be the text of the answer; the row number carries the
 * sort through the aggregate. */
#define FIND \
    "select coalesce((select json_agg(item order by place)" \
    "  from (select order_id as \"orderId\", user_id as \"userId\", status," \
    "               money_text(total) as total, row_number() over (order by %sorders.order_id) " \
    "as place" \
    "        from orders where " CONDITION \
    "        order by %sorders.order_id limit $6::bigint offset $7::bigint) page" \
    "  cross join lateral (select \"orderId\", \"userId\", status, total) item), '[]') as items," \
    " (select count(*) from orders where " CONDITION ") as count"

static const char LIST_SQL[] = FIND;
static const char FIND_SQL[] =
    "select row_to_json(answer) from (" FIND ") found cross join lateral (select"
    " (select row_to_json(page) from (select $7::bigint / $6::bigint as \"pageNumber\","
    "  $6::bigint as \"pageSize\", count) page) as page, items) answer";

static int reply_found(
    struct http_request *request, const struct order_filter *filter, const char *format)
{
    AUTO_FREE char *sql = NULL;
    if (asprintf(&sql, format, filter->order_by, filter->order_by) < 0)
        return http_problem(request, 500, "internal", "out of memory");
    const struct db_statement statement = {NULL, sql};
    return http_reply_query(request, NULL, &statement,
        DB_PARAMS(DB_TEXT(filter->ids), DB_TEXT(filter->user_ids), DB_TEXT(filter->statuses),
            DB_MONEY(filter->total_from), DB_MONEY(filter->total_to), DB_INT(filter->size),
            DB_INT(filter->page * filter->size)));
}

int admin_list(struct http_request *request)
{
    AUTO_ORDER_FILTER struct order_filter filter = ORDER_FILTER_INIT;
    int status = order_filter_read_query(request, &filter);
    if (status)
        return status;
    return reply_found(request, &filter, LIST_SQL);
}

int admin_find(struct http_request *request)
{
    AUTO_ORDER_FILTER struct order_filter filter = ORDER_FILTER_INIT;
    json_t *body = NULL;
    int status = http_json_body(request, true, &body);
    if (status == 0 && body)
        status = order_filter_read_json(request, body, &filter);
    if (status)
        return status;
    return reply_found(request, &filter, FIND_SQL);
}
