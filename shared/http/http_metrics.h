/* Metrics and the access log of the HTTP server. */
#ifndef SHARED_HTTP_METRICS_H
#define SHARED_HTTP_METRICS_H

#include "shared/db/db.h"
#include "shared/http/http.h"

#include <stdbool.h>

/* Registers the metrics once for the process; the pool (may be NULL) is shown until the next call.
 */
void http_metrics_start(const char *program, struct db_pool *pool);

void http_metrics_in_flight(int change);

/* Counts and logs a request that is done. `aborted`: the client did not get the whole answer. */
void http_metrics_done(const struct http_request *request, bool aborted);

#endif
