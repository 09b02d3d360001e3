/* Finds the route of a request. */
#ifndef SHARED_HTTP_ROUTER_H
#define SHARED_HTTP_ROUTER_H

#include "shared/base/cleanup.h"
#include "shared/http/http.h"

/* Finds the route and the path ids, from the server's routes and the built-in ones. Returns 0 or
 * the status of the problem it has replied with: 400, 404 or 405. */
MUST_CHECK int http_route_find(struct http_request *request);

#endif
