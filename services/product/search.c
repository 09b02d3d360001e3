/* GET /products/{id}, POST /products/find-by-filter. The search is literal and case-insensitive,
 * see sql/product. */
#include "services/product/search.h"

#include "services/common/paging.h"
#include "shared/http/fields.h"

#define MAX_INFIX_CHARS 200
#define MAX_IDS 100

#define PRODUCT_JSON \
    "json_build_object('productId', product_id, 'name', name, 'description', description," \
    " 'archived', archived)"

static const struct db_statement GET = {
    "product_get", "select " PRODUCT_JSON " from product where product_id = $1"};

static const struct db_statement FIND = {"product_find",
    "with found as ("
    "   select product_id from product"
    "   where ($1::text is null or name_key like infix_pattern($1))"
    "     and ($2::text is null or description_key like infix_pattern($2))"
    "     and case when $3::jsonb is null then not archived"
    "         else product_id = any (array("
    "             select id::bigint from jsonb_array_elements_text($3) id)) end),"
    " listed as ("
    "   select * from product"
    "   where product_id in (select product_id from found"
    "       order by product_id limit $5::bigint offset $4::bigint * $5))"
    " select json_build_object("
    "   'page', json_build_object('pageNumber', $4, 'pageSize', $5,"
    "       'count', (select count(*) from found)),"
    "   'items', coalesce((select json_agg(" PRODUCT_JSON " order by product_id) from listed),"
    "       '[]'))"};

/* Borrowed from the request. */
struct filter {
    const char *name_infix;        /* NULL: any */
    const char *description_infix; /* NULL: any */
    json_t *ids;                   /* NULL or empty: any that is not archived */
    int64_t page, size;
};

int search_get(struct http_request *request)
{
    return http_reply_query(
        request, "not_found", &GET, DB_PARAMS(DB_INT(http_path_id(request, 0))));
}

/* Returns 0 or the status of the problem replied with. */
static int parse_filter(struct http_request *request, struct filter *ret_filter)
{
    struct filter filter = {.size = PAGING_DEFAULT_SIZE};
    json_t *paging = NULL;
    const struct field fields[] = {
        {"nameInfix", FIELD_TEXT, .optional = true, .max = MAX_INFIX_CHARS,
            .target = &filter.name_infix},
        {"descriptionInfix", FIELD_TEXT, .optional = true, .max = MAX_INFIX_CHARS,
            .target = &filter.description_infix},
        {"productId", FIELD_INTS, .optional = true, .max = MAX_IDS, .target = &filter.ids},
        {"paging", FIELD_OBJECT, .optional = true, .target = &paging},
    };
    int status = fields_body(request, true, fields, ARRAY_SIZE(fields));
    if (status == 0)
        status = paging_read(request, paging, &filter.page, &filter.size);
    if (status)
        return status;
    *ret_filter = filter;
    return 0;
}

int search_find(struct http_request *request)
{
    struct filter filter = {0};
    int status = parse_filter(request, &filter);
    if (status)
        return status;
    bool by_ids = json_array_size(filter.ids) > 0;
    AUTO_FREE char *ids = by_ids ? json_dumps(filter.ids, JSON_COMPACT) : NULL;
    if (by_ids && !ids)
        return http_problem(request, 500, "internal", "out of memory");
    return http_reply_query(request, NULL, &FIND,
        DB_PARAMS(DB_TEXT(filter.name_infix), DB_TEXT(filter.description_infix), DB_TEXT(ids),
            DB_INT(filter.page), DB_INT(filter.size)));
}
