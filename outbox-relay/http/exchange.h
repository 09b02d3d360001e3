/* One request and how it ended: the words that the HTTP client's parts, and its user, have in
 * common. */
#ifndef RELAY_EXCHANGE_H
#define RELAY_EXCHANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct transport_settings {
    const char *user_agent;
    const char *proxy;   /* "": none */
    const char *ca_file; /* "": the system's */
    int64_t connect_timeout_ms;
    int64_t connection_age_s; /* an older connection takes no further request */
};

/* Nor does one that has been idle for longer: something in between may have forgotten it without
 * telling. */
#define CONNECTION_IDLE_S 60

struct request {
    const char *url;
    const char *content_type;
    const char *webhook_id, *webhook_timestamp, *webhook_signature;
    const char *body; /* borrowed until the end */
    size_t body_length;
    int64_t timeout_ms;
};

/* What came. What it means is judged elsewhere; see verdict.h. */
struct response {
    enum response_outcome {
        RESPONSE_STATUS,     /* the receiver answered */
        RESPONSE_NO_CONNECT, /* not sent: no connection, name, TLS */
        RESPONSE_BROKEN,     /* sent, at least in part, and no whole answer came */
        RESPONSE_TIMEOUT,
    } outcome;
    int status;            /* HTTP status; 0 without an answer */
    int64_t retry_after_s; /* from Retry-After, both forms; -1: none */
    const char *body;      /* NUL-terminated; borrowed for the call */
    size_t body_length;
    bool cut;          /* the body goes on */
    const char *error; /* what went wrong, when the outcome is not RESPONSE_STATUS */
};

struct loop;
struct curl_loop;
struct answer_body;

/* What either way of a request works with; all borrowed. `done` tells the end, with all but the
 * body filled in. The way may be started again, or be freed, when `done` returns. */
struct exchange {
    struct loop *loop;
    struct curl_loop *curl;
    const struct transport_settings *settings;
    struct answer_body *body;
    void (*done)(void *context, struct response *response);
    void *context;
};

#endif
