/* Requests to http:// URLs: libcurl finds the name and connects, the rest is done here, on one
 * connection that is kept, by a sendmsg and a recv. libcurl alone takes three times as much of the
 * processor for a request, for it builds and parses each URL and header anew; see the row "client"
 * in docs/benchmarks.md. */
#ifndef RELAY_HTTP1_TRANSFER_H
#define RELAY_HTTP1_TRANSFER_H

#include "outbox-relay/http/exchange.h"

#include "shared/base/cleanup.h"

struct http1_transfer;

/* `url` is borrowed as long as the transfer is there. Errors: -ENOTSUP, the URL needs more of
 * libcurl than the connection; -ENOMEM. */
MUST_CHECK int http1_transfer_new(
    const struct exchange *exchange, const char *url, struct http1_transfer **ret_transfer);
/* Breaks off what is under way. Accepts NULL. */
void http1_transfer_free(struct http1_transfer *transfer);

/* The request's URL is that of the transfer. Errors: -ENOMEM, -EINVAL. */
MUST_CHECK int http1_transfer_start(struct http1_transfer *transfer, const struct request *request);

#endif
