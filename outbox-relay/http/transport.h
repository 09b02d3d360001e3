/* HTTP POSTs without blocking, in the source's loop. Chooses for each URL which of two ways a
 * request goes, our own HTTP/1.1 client or libcurl; the engine sees no difference. */
#ifndef RELAY_TRANSPORT_H
#define RELAY_TRANSPORT_H

#include "outbox-relay/base/loop.h"
#include "outbox-relay/http/exchange.h"
#include "shared/base/cleanup.h"

struct transport;
struct transfer; /* one request at a time, its handle and headers used again */

/* Copies `settings` but borrows the texts. Errors: -ENOMEM. */
MUST_CHECK int transport_new(
    struct loop *loop, const struct transport_settings *settings, struct transport **ret_transport);
/* After all its transfers have been freed. Accepts NULL. */
void transport_free(struct transport *transport);

/* `done` is called from the loop, never from within transfer_start(). */
MUST_CHECK int transfer_new(struct transport *transport,
    void (*done)(void *context, const struct response *response), void *context,
    struct transfer **ret_transfer);
/* Breaks off what is under way; `done` is not called. Accepts NULL. */
void transfer_free(struct transfer *transfer);

/* Errors: -ENOMEM, -EINVAL (libcurl does not take the URL), -EBUSY. */
MUST_CHECK int transfer_start(struct transfer *transfer, const struct request *request);

#endif
