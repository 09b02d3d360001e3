/* The filter of admins' searches, read from query parameters or from JSON. */
#ifndef ORDER_ORDER_FILTER_H
#define ORDER_ORDER_FILTER_H

#include "services/common/paging.h"
#include "shared/base/money.h"
#include "shared/http/http.h"

/* A NULL list filters nothing. */
struct order_filter {
    char *ids, *user_ids, *statuses; /* PostgreSQL arrays, "{1,2}"; owned */
    int64_t total_from, total_to;    /* cents, inclusive */
    char order_by[256]; /* "orders.total desc, ": known columns and directions, each with a comma */
    int64_t page, size;
};

#define ORDER_FILTER_INIT \
    { \
        .total_to = MONEY_MAX, .size = PAGING_DEFAULT_SIZE \
    }

/* Both read into a filter that is ORDER_FILTER_INIT and is to be released in any case. They return
 * 0 or the status of the problem replied with. */
MUST_CHECK int order_filter_read_query(struct http_request *request, struct order_filter *filter);
MUST_CHECK int order_filter_read_json(
    struct http_request *request, const json_t *body, struct order_filter *filter);

void order_filter_release(struct order_filter *filter);

#define AUTO_ORDER_FILTER __attribute__((cleanup(order_filter_release)))

#endif
