/* Whether the length of a request can be read in one way only. */
#ifndef SHARED_HTTP_FRAMING_H
#define SHARED_HTTP_FRAMING_H

#include "shared/http/http.h"

/* Why the length of the request may be read in more than one way, as static text; NULL when it may
 * not. After an answer to it the connection must be closed. */
const char *http_framing_complaint(const struct http_request *request);

#endif
