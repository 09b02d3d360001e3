/* Who may call a route. */
#ifndef SHARED_HTTP_ACCESS_H
#define SHARED_HTTP_ACCESS_H

#include "shared/base/cleanup.h"
#include "shared/http/http.h"

/* Checks the token and the owner as the route asks. Returns 0 or the status of the problem. */
MUST_CHECK int http_authorize(struct http_request *request);

#endif
