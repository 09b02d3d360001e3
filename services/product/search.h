/* Reading products: one by its id, or a page by a filter. */
#ifndef PRODUCT_SEARCH_H
#define PRODUCT_SEARCH_H

#include "shared/http/http.h"

/* GET /products/{id} -> {productId, name, description, archived} */
http_handler search_get;

/* POST /products/find-by-filter {nameInfix, descriptionInfix, productId[], paging: {page, size}} ->
 * {page: {pageNumber, pageSize, count}, items}. All members are optional; a product must match all
 * of them, and a missing or empty one matches any. Archived products are found only by their ids.
 */
http_handler search_find;

#endif
