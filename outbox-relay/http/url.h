/* What a URL comes to in a request. */
#ifndef RELAY_URL_H
#define RELAY_URL_H

#include "shared/base/cleanup.h"

/* The request line and the fields that are the same in each POST to an http:// URL that needs
 * nothing of libcurl but the connection; freed by the caller. Errors: -ENOTSUP, the URL is another
 * or none; -ENOMEM. */
MUST_CHECK int url_request_prefix(const char *url, const char *user_agent, char **ret_prefix);

#endif
