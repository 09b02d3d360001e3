/* Pages that are asked for in JSON; those of query parameters are http_page_query's. */
#include "services/common/paging.h"

#include "shared/http/fields.h"

#define MAX_PAGE 1000000 /* page * size stays far from overflow */
#define MAX_SIZE 100

int paging_read(struct http_request *request, const json_t *paging, int64_t *page, int64_t *size)
{
    const struct field fields[] = {
        {"page", FIELD_INT, .optional = true, .max = MAX_PAGE, .target = page},
        {"size", FIELD_INT, .optional = true, .min = 1, .max = MAX_SIZE, .target = size},
    };
    return paging ? fields_parse(request, paging, "paging.", fields, ARRAY_SIZE(fields)) : 0;
}
