/* The routes that every program has: /livez, /readyz, /health, /metrics. */
#ifndef SHARED_HTTP_BUILTIN_H
#define SHARED_HTTP_BUILTIN_H

#include "shared/http/http.h"

extern const struct http_route http_builtin_routes[];
extern const size_t http_builtin_route_count;

#endif
