/* What identifies a request in logs and events. */
#ifndef SHARED_HTTP_IDENTITY_H
#define SHARED_HTTP_IDENTITY_H

#include "shared/http/http.h"

/* Sets request_id and traceparent from the client's headers (NULL: absent) or anew. */
void http_identify(struct http_request *request, const char *request_id, const char *traceparent);

#endif
