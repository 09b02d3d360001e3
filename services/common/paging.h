/* The member "paging" of a search's JSON body: {page, size}. */
#ifndef COMMON_PAGING_H
#define COMMON_PAGING_H

#include "shared/http/http.h"

#define PAGING_DEFAULT_SIZE 20

/* Reads page >= 0 and 1 <= size <= 100; what is absent stays as it was, all of it when `paging` is
 * NULL. Returns 0 or the status of the problem replied with (400). */
MUST_CHECK int paging_read(
    struct http_request *request, const json_t *paging, int64_t *page, int64_t *size);

#endif
