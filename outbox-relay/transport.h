/* HTTP POSTs without blocking, on libcurl's multi interface and the source's loop. The only file
 * that knows libcurl: what is behind this header can be changed without the engine noticing. */
#ifndef RELAY_TRANSPORT_H
#define RELAY_TRANSPORT_H

#include "outbox-relay/buffer.h"
#include "outbox-relay/loop.h"
#include "shared/base/cleanup.h"

#define RESPONSE_MAX_BODY 1048576 /* of an answer; the rest is read and dropped */

struct transport;
struct transfer; /* one request at a time, its handle and headers used again */

struct transport_settings {
    const char *user_agent;
    const char *proxy;   /* "": none */
    const char *ca_file; /* "": the system's */
    int64_t connect_timeout_ms;
};

MUST_CHECK int transport_new(
    struct loop *loop, const struct transport_settings *settings, struct transport **ret_transport);
/* After all its transfers have been freed. Accepts NULL. */
void transport_free(struct transport *transport);

/* How a request ended. */
struct response {
    enum response_outcome {
        RESPONSE_STATUS,     /* the receiver answered */
        RESPONSE_NO_CONNECT, /* not sent: no connection, name, TLS */
        RESPONSE_BROKEN,     /* sent, at least in part, and no whole answer came */
        RESPONSE_TIMEOUT,
    } outcome;
    int status;            /* HTTP status; 0 without an answer */
    int64_t retry_after_s; /* from Retry-After, both forms, when the endpoint is down; -1: none */
    const char *body;      /* NUL-terminated; borrowed for the call */
    size_t body_length;
    bool cut;          /* the body goes on */
    const char *error; /* what went wrong, when the outcome is not RESPONSE_STATUS */
};

struct request {
    const char *url;
    const char *content_type;
    const char *webhook_id, *webhook_timestamp, *webhook_signature;
    const char *body; /* borrowed until done */
    size_t body_length;
    int64_t timeout_ms;
};

/* `done` is called from the loop, never from within transfer_start(). */
MUST_CHECK int transfer_new(struct transport *transport,
    void (*done)(void *context, const struct response *response), void *context,
    struct transfer **ret_transfer);
/* Breaks off what is under way; `done` is not called. Accepts NULL. */
void transfer_free(struct transfer *transfer);

/* Errors: -ENOMEM, -EINVAL (libcurl does not take the URL), -EBUSY. */
MUST_CHECK int transfer_start(struct transfer *transfer, const struct request *request);

#endif
