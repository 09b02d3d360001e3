/* A request that libcurl does as a whole: for https, proxies and whatever else http1_transfer.h
 * leaves alone. */
#ifndef RELAY_CURL_TRANSFER_H
#define RELAY_CURL_TRANSFER_H

#include "outbox-relay/http/exchange.h"

#include "shared/base/cleanup.h"

struct curl_transfer;

/* Errors: -ENOMEM. */
MUST_CHECK int curl_transfer_new(
    const struct exchange *exchange, struct curl_transfer **ret_transfer);
/* Breaks off what is under way. Accepts NULL. */
void curl_transfer_free(struct curl_transfer *transfer);

/* Errors: -ENOMEM, -EINVAL (libcurl does not take the URL). */
MUST_CHECK int curl_transfer_start(struct curl_transfer *transfer, const struct request *request);

#endif
