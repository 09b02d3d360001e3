/* Admins' view of all orders: filtered, sorted, paged; as query parameters or as JSON. */
#include "services/order/order.h"
#include "shared/base/money.h"
#include "shared/http/fields.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define MAX_VALUES 100 /* of one repeatable filter */
#define MAX_SORTS 4
#define MAX_PAGE 1000000
#define MAX_PAGE_SIZE 100
#define DEFAULT_PAGE_SIZE 20
#define MAX_TEXT_VALUE 64

/* The filter of both forms. A NULL list filters nothing. */
struct filter {
    char *ids, *user_ids, *statuses; /* PostgreSQL arrays, "{1,2}" */
    int64_t total_from, total_to;    /* cents, inclusive */
    char order_by[256];              /* made of SORT_FIELDS' columns only */
    int64_t page, size;
};

static const struct {
    const char *name, *column;
} SORT_FIELDS[] = {
    {"id", "orders.order_id"},
    {"orderId", "orders.order_id"},
    {"userId", "orders.user_id"},
    {"status", "orders.status"},
    {"total", "orders.total"},
    {"createdAt", "orders.created_at"},
    {"updatedAt", "orders.updated_at"},
};

/* $1 ids, $2 user ids, $3 statuses, $4 and $5 totals, $6 limit, $7 offset. */
#define CONDITION \
    "($1::bigint[] is null or order_id = any ($1::bigint[]))" \
    " and ($2::bigint[] is null or user_id = any ($2::bigint[]))" \
    " and ($3::text[] is null or status = any ($3::text[]))" \
    " and total between $4::numeric and $5::numeric"

/* The items of a page and how many there are in all. The %s are the same sort, of columns with
 * their table's name (a bare "total" would be the text of the answer); the row number carries it
 * through the aggregate. */
#define FIND \
    "select coalesce((select json_agg(item order by place)" \
    "  from (select order_id as \"orderId\", user_id as \"userId\", status," \
    "               money_text(total) as total, row_number() over (order by %s) as place" \
    "        from orders where " CONDITION \
    "        order by %s limit $6::bigint offset $7::bigint) page" \
    "  cross join lateral (select \"orderId\", \"userId\", status, total) item), '[]') as items," \
    " (select count(*) from orders where " CONDITION ") as count"

static const char LIST_SQL[] = FIND;
static const char FIND_SQL[] =
    "select row_to_json(answer) from (" FIND ") found cross join lateral (select"
    " (select row_to_json(page) from (select $7::bigint / $6::bigint as \"pageNumber\","
    "  $6::bigint as \"pageSize\", count) page) as page, items) answer";

static void filter_release(struct filter *filter)
{
    free(filter->ids);
    free(filter->user_ids);
    free(filter->statuses);
}

#define AUTO_FILTER __attribute__((cleanup(filter_release)))
#define FILTER_INIT \
    { \
        .total_to = MONEY_MAX, .size = DEFAULT_PAGE_SIZE \
    }

/* ---- values of a list, each appended to the text of a PostgreSQL array ---- */

static int append(char **list, const char *value)
{
    char *longer = NULL;
    int length = *list ? asprintf(&longer, "%.*s,%s}", (int)strlen(*list) - 1, *list, value)
                       : asprintf(&longer, "{%s}", value);
    if (length < 0)
        return -ENOMEM;
    free(*list);
    *list = longer;
    return 0;
}

static int append_status(
    struct http_request *request, struct filter *filter, const char *name, const char *text)
{
    for (int status = ORDER_NEW; status <= ORDER_REJECTED; status++) {
        if (text && strcmp(order_status_text((enum order_status)status), text) == 0)
            return append(&filter->statuses, text);
    }
    return http_problem_field(
        request, 400, "bad_field", name, "%s must be NEW, CONFIRMED, COMPLETED or REJECTED", name);
}

/* The column of a field of "field", "field,ASC" or "field,DESC", and the direction. */
static const char *sort_column(const char *text, bool *ret_descending)
{
    size_t length = strcspn(text, ",");
    const char *direction = text[length] ? text + length + 1 : "ASC";
    if (strcasecmp(direction, "ASC") != 0 && strcasecmp(direction, "DESC") != 0)
        return NULL;
    *ret_descending = strcasecmp(direction, "DESC") == 0;
    for (size_t i = 0; i < ARRAY_SIZE(SORT_FIELDS); i++) {
        const char *name = SORT_FIELDS[i].name;
        if (strlen(name) == length && strncmp(name, text, length) == 0)
            return SORT_FIELDS[i].column;
    }
    return NULL;
}

static int append_sort(
    struct http_request *request, struct filter *filter, const char *name, const char *text)
{
    bool descending = false;
    const char *column = text ? sort_column(text, &descending) : NULL;
    if (!column)
        return http_problem_field(request, 400, "bad_field", name,
            "%s must be id, orderId, userId, status, total, createdAt or updatedAt, then maybe "
            ",ASC or ,DESC; not \"%.*s\"",
            name, MAX_TEXT_VALUE, text ? text : "");
    size_t used = strlen(filter->order_by);
    snprintf(filter->order_by + used, sizeof(filter->order_by) - used, "%s %s, ", column,
        descending ? "desc" : "asc");
    return 0;
}

/* Ties are broken by the identity, so that pages neither repeat nor miss an order. */
static void end_sort(struct filter *filter)
{
    size_t used = strlen(filter->order_by);
    snprintf(filter->order_by + used, sizeof(filter->order_by) - used, "orders.order_id");
}

/* ---- the filter as query parameters ---- */

/* The values of a repeatable parameter, at most `max`; 0 or the status. */
static int query_values(struct http_request *request, const char *name, size_t max,
    const char *values[MAX_VALUES + 1], size_t *ret_count)
{
    size_t count = http_query_all(request, name, values, max + 1);
    if (count > max)
        return http_problem_field(
            request, 400, "bad_field", name, "%s may be given at most %zu times", name, max);
    *ret_count = count;
    return 0;
}

static int query_ids(struct http_request *request, const char *name, char **list)
{
    const char *values[MAX_VALUES + 1];
    size_t count = 0;
    int status = query_values(request, name, MAX_VALUES, values, &count);
    for (size_t i = 0; status == 0 && i < count; i++) {
        int64_t id;
        status = field_parse_id(request, name, values[i], &id);
        if (status == 0)
            status = append(list, values[i]);
    }
    return status;
}

typedef int append_text(
    struct http_request *request, struct filter *filter, const char *name, const char *text);

static int query_texts(struct http_request *request, struct filter *filter, const char *name,
    size_t max, append_text *take)
{
    const char *values[MAX_VALUES + 1];
    size_t count = 0;
    int status = query_values(request, name, max, values, &count);
    for (size_t i = 0; status == 0 && i < count; i++)
        status = take(request, filter, name, values[i]);
    return status;
}

static int query_money(struct http_request *request, const char *name, int64_t *ret_cents)
{
    const char *text = http_query(request, name);
    if (!text)
        return 0;
    int64_t cents;
    if (money_parse(text, &cents) < 0 || cents < 0)
        return http_problem_field(request, 400, "bad_field", name,
            "%s must be an amount of money with at most 2 decimals", name);
    *ret_cents = cents;
    return 0;
}

/* 0, the status replied with, or -ENOMEM. */
static int filter_of_query(struct http_request *request, struct filter *filter)
{
    int status = query_ids(request, "id", &filter->ids);
    if (status == 0)
        status = query_ids(request, "userId", &filter->user_ids);
    if (status == 0)
        status = query_texts(request, filter, "status", MAX_VALUES, append_status);
    if (status == 0)
        status = query_texts(request, filter, "sort", MAX_SORTS, append_sort);
    if (status == 0)
        status = query_money(request, "totalFrom", &filter->total_from);
    if (status == 0)
        status = query_money(request, "totalTo", &filter->total_to);
    if (status == 0)
        status =
            http_page_query(request, "paging.page", "paging.size", &filter->page, &filter->size);
    return status;
}

/* ---- the filter as JSON ---- */

static int json_ids(const json_t *ids, char **list)
{
    size_t index;
    json_t *id;
    json_array_foreach(ids, index, id)
    {
        char text[24];
        snprintf(text, sizeof(text), "%" PRId64, (int64_t)json_integer_value(id));
        int error = append(list, text);
        if (error < 0)
            return error;
    }
    return 0;
}

static int json_texts(struct http_request *request, struct filter *filter, const char *name,
    const json_t *texts, append_text *take)
{
    size_t index;
    json_t *text;
    json_array_foreach(texts, index, text)
    {
        char field[32];
        snprintf(field, sizeof(field), "%s[%zu]", name, index);
        int status = take(request, filter, field, json_string_value(text));
        if (status)
            return status;
    }
    return 0;
}

static int json_page(struct http_request *request, const json_t *paging, struct filter *filter)
{
    const struct field fields[] = {
        {"page", FIELD_INT, .optional = true, .min = 0, .max = MAX_PAGE, .target = &filter->page},
        {"size", FIELD_INT, .optional = true, .min = 1, .max = MAX_PAGE_SIZE,
            .target = &filter->size},
    };
    return paging ? fields_parse(request, paging, "paging.", fields, ARRAY_SIZE(fields)) : 0;
}

/* As filter_of_query. */
static int filter_of_json(struct http_request *request, const json_t *body, struct filter *filter)
{
    json_t *ids = NULL, *user_ids = NULL, *statuses = NULL, *sorts = NULL, *paging = NULL;
    const struct field fields[] = {
        {"id", FIELD_INTS, .optional = true, .max = MAX_VALUES, .target = &ids},
        {"userId", FIELD_INTS, .optional = true, .max = MAX_VALUES, .target = &user_ids},
        {"status", FIELD_ARRAY, .optional = true, .max = MAX_VALUES, .target = &statuses},
        {"totalFrom", FIELD_MONEY, .optional = true, .max = MONEY_MAX,
            .target = &filter->total_from},
        {"totalTo", FIELD_MONEY, .optional = true, .max = MONEY_MAX, .target = &filter->total_to},
        {"sort", FIELD_ARRAY, .optional = true, .max = MAX_SORTS, .target = &sorts},
        {"paging", FIELD_OBJECT, .optional = true, .target = &paging},
    };
    int status = fields_parse(request, body, "", fields, ARRAY_SIZE(fields));
    if (status == 0)
        status = json_ids(ids, &filter->ids);
    if (status == 0)
        status = json_ids(user_ids, &filter->user_ids);
    if (status == 0)
        status = json_texts(request, filter, "status", statuses, append_status);
    if (status == 0)
        status = json_texts(request, filter, "sort", sorts, append_sort);
    if (status == 0)
        status = json_page(request, paging, filter);
    return status;
}

/* ---- the query ---- */

static int reply_found(struct http_request *request, struct filter *filter, const char *format)
{
    end_sort(filter);
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
    AUTO_FILTER struct filter filter = FILTER_INIT;
    int status = filter_of_query(request, &filter);
    if (status < 0)
        return http_problem(request, 500, "internal", "out of memory");
    if (status)
        return status;
    return reply_found(request, &filter, LIST_SQL);
}

int admin_find(struct http_request *request)
{
    AUTO_FILTER struct filter filter = FILTER_INIT;
    json_t *body = NULL;
    int status = http_json_body(request, true, &body);
    if (status == 0 && body)
        status = filter_of_json(request, body, &filter);
    if (status < 0)
        return http_problem(request, 500, "internal", "out of memory");
    if (status)
        return status;
    return reply_found(request, &filter, FIND_SQL);
}
