/* Reading products. The search is literal and case-insensitive, see sql/product. */
#include "services/product/search.h"

#include "shared/http/fields.h"

#define INFIX_MAX_CHARACTERS 200
#define IDS_MAX 100
#define PAGE_MAX 1000000 /* page * size stays far from overflow */
#define SIZE_DEFAULT 20
#define SIZE_MAX_ITEMS 100

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

struct filter {
    const char *name_infix;        /* NULL: any */
    const char *description_infix; /* NULL: any */
    json_t *ids;                   /* NULL or empty: any that is not archived */
    json_t *paging;                /* NULL: the first page, of the default size */
    int64_t page, size;
};

int search_get(struct http_request *request)
{
    return http_reply_query(
        request, "not_found", &GET, DB_PARAMS(DB_INT(http_path_id(request, 0))));
}

static int parse_paging(struct http_request *request, struct filter *filter)
{
    const struct field fields[] = {
        {"page", FIELD_INT, true, 0, PAGE_MAX, &filter->page},
        {"size", FIELD_INT, true, 1, SIZE_MAX_ITEMS, &filter->size},
    };
    return fields_parse(request, filter->paging, "paging.", fields, ARRAY_SIZE(fields));
}

/* Returns 0, or the status of the problem replied with. What the filter points at belongs to the
 * request. */
static int parse_filter(struct http_request *request, struct filter *ret_filter)
{
    struct filter filter = {.size = SIZE_DEFAULT};
    const struct field fields[] = {
        {"nameInfix", FIELD_TEXT, true, 0, INFIX_MAX_CHARACTERS, &filter.name_infix},
        {"descriptionInfix", FIELD_TEXT, true, 0, INFIX_MAX_CHARACTERS, &filter.description_infix},
        {"productId", FIELD_INTS, true, 0, IDS_MAX, &filter.ids},
        {"paging", FIELD_OBJECT, true, .target = &filter.paging},
    };
    int status = fields_body(request, true, fields, ARRAY_SIZE(fields));
    if (status == 0 && filter.paging != NULL)
        status = parse_paging(request, &filter);
    if (status == 0)
        *ret_filter = filter;
    return status;
}

int search_find(struct http_request *request)
{
    struct filter filter;
    int status = parse_filter(request, &filter);
    if (status != 0)
        return status;
    AUTO_FREE char *ids = NULL;
    if (json_array_size(filter.ids) > 0) {
        ids = json_dumps(filter.ids, JSON_COMPACT);
        if (ids == NULL)
            return http_problem(request, 500, "internal", "out of memory");
    }
    return http_reply_query(request, NULL, &FIND,
        DB_PARAMS(DB_TEXT(filter.name_infix), DB_TEXT(filter.description_infix), DB_TEXT(ids),
            DB_INT(filter.page), DB_INT(filter.size)));
}
