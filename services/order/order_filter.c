/* The filter of GET /orders (query parameters) and POST /orders/find-by-filter (JSON). */
#include "services/order/order_filter.h"

#include "services/order/order.h"
#include "shared/http/fields.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define MAX_VALUES 100 /* of one repeatable filter */
#define MAX_SORTS 4
#define MAX_SHOWN_TEXT 64 /* of what was wrong, in a problem */

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

void order_filter_release(struct order_filter *filter)
{
    free(filter->ids);
    free(filter->user_ids);
    free(filter->statuses);
}

/* ---- values of a list, each appended to the text of a PostgreSQL array ---- */

/* Returns 0 or the status of the problem replied with. */
static int append(struct http_request *request, char **list, const char *value)
{
    char *longer = NULL;
    int length = *list ? asprintf(&longer, "%.*s,%s}", (int)strlen(*list) - 1, *list, value)
                       : asprintf(&longer, "{%s}", value);
    if (length < 0)
        return http_problem(request, 500, "internal", "out of memory");
    free(*list);
    *list = longer;
    return 0;
}

static int append_status(
    struct http_request *request, struct order_filter *filter, const char *name, const char *text)
{
    enum order_status status;
    if (text && order_status_parse(text, &status) == 0)
        return append(request, &filter->statuses, text);
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
    struct http_request *request, struct order_filter *filter, const char *name, const char *text)
{
    bool descending = false;
    const char *column = text ? sort_column(text, &descending) : NULL;
    if (!column)
        return http_problem_field(request, 400, "bad_field", name,
            "%s must be id, orderId, userId, status, total, createdAt or updatedAt, then maybe "
            ",ASC or ,DESC; not \"%.*s\"",
            name, MAX_SHOWN_TEXT, text ? text : "");
    size_t used = strlen(filter->order_by);
    snprintf(filter->order_by + used, sizeof(filter->order_by) - used, "%s %s, ", column,
        descending ? "desc" : "asc");
    return 0;
}

/* ---- the filter as query parameters ---- */

/* The values of a repeatable parameter, at most `max`. Returns 0 or the status of the problem
 * replied with. */
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
        int64_t id = 0;
        status = field_parse_id(request, name, values[i], &id);
        if (status == 0)
            status = append(request, list, values[i]);
    }
    return status;
}

typedef int append_text(
    struct http_request *request, struct order_filter *filter, const char *name, const char *text);

static int query_texts(struct http_request *request, struct order_filter *filter, const char *name,
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
    int64_t cents = 0;
    if (money_parse(text, &cents) < 0 || cents < 0)
        return http_problem_field(request, 400, "bad_field", name,
            "%s must be an amount of money with at most 2 decimals", name);
    *ret_cents = cents;
    return 0;
}

int order_filter_read_query(struct http_request *request, struct order_filter *filter)
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

static int json_ids(struct http_request *request, const json_t *ids, char **list)
{
    size_t index;
    json_t *id;
    json_array_foreach(ids, index, id)
    {
        char text[24];
        snprintf(text, sizeof(text), "%" PRId64, (int64_t)json_integer_value(id));
        int status = append(request, list, text);
        if (status)
            return status;
    }
    return 0;
}

static int json_texts(struct http_request *request, struct order_filter *filter, const char *name,
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

int order_filter_read_json(
    struct http_request *request, const json_t *body, struct order_filter *filter)
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
        status = json_ids(request, ids, &filter->ids);
    if (status == 0)
        status = json_ids(request, user_ids, &filter->user_ids);
    if (status == 0)
        status = json_texts(request, filter, "status", statuses, append_status);
    if (status == 0)
        status = json_texts(request, filter, "sort", sorts, append_sort);
    if (status == 0)
        status = paging_read(request, paging, &filter->page, &filter->size);
    return status;
}
