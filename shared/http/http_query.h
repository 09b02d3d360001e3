/* The query of a request, decoded; handlers read it by http_query of http.h. */
#ifndef SHARED_HTTP_QUERY_H
#define SHARED_HTTP_QUERY_H

#include "shared/base/cleanup.h"
#include "shared/http/http.h"

#define HTTP_MAX_QUERY_PARAMETERS 200

/* Splits and decodes the raw query. Returns 0, -EINVAL (bad encoding, not UTF-8, NUL, too many) or
 * -ENOMEM; what was parsed until then is released by http_query_release. */
MUST_CHECK int http_query_parse(struct http_request *request, const char *query);
void http_query_release(struct http_request *request);

#endif
