/* What the files of the HTTP server share among themselves. Handlers see shared/http.h only. */
#ifndef SHARED_HTTP_INTERNAL_H
#define SHARED_HTTP_INTERNAL_H

#include "shared/http.h"

#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#define HTTP_REQUEST_ID_SIZE 129
#define HTTP_TRACEPARENT_SIZE 56
#define HTTP_MAX_REPLY_HEADERS 8
#define HTTP_MAX_QUERY_PARAMETERS 200
#define HTTP_JSON_MAX_DEPTH 64

/* One response header or one query parameter; both strings are owned. */
struct http_pair {
    char *name;
    char *value;
};

/* The answer as the handler has made it so far; sent after the handler has returned. */
struct http_reply {
    int status; /* 0: none yet */
    char *content_type;
    void *body; /* NUL-terminated beyond its length */
    size_t length;
    struct http_pair headers[HTTP_MAX_REPLY_HEADERS];
    size_t header_count;
};

struct http_request {
    struct http_server *server;
    struct MHD_Connection *connection; /* NULL in unit tests that need no socket */
    const char *method;                /* as sent */
    char *path;                        /* raw and undecoded, without the query */
    const struct http_route *route;    /* NULL: none matched */

    int64_t path_ids[HTTP_MAX_PATH_IDS];
    size_t path_id_count;
    struct http_pair *query; /* decoded */
    size_t query_count;

    char *body; /* NULL while nothing has arrived; NUL-terminated beyond its length */
    size_t body_length, body_capacity;
    uint64_t discarded;  /* bytes of a body that is read only to be answered */
    bool discard;        /* the answer is already known: read the body, keep nothing */
    bool close;          /* the connection can't be used again */
    bool headers_seen;   /* counted as in flight */
    bool answered;       /* the reply has been handed to libmicrohttpd */
    json_t *json;        /* of the body, once parsed */
    char *event_headers; /* once asked for */

    struct auth_claims claims;
    bool has_claims;
    char request_id[HTTP_REQUEST_ID_SIZE];
    char traceparent[HTTP_TRACEPARENT_SIZE];
    struct timespec started; /* CLOCK_MONOTONIC */

    struct http_reply reply;
};

/* http_router.c */

/* Digits only, no leading zero, 1 to INT64_MAX. Returns 0 or -EINVAL. */
MUST_CHECK int http_parse_id(const char *text, size_t length, int64_t *ret_id);

/* http_reply.c */

/* Forgets the reply with its headers, so that a transaction can be run again. */
void http_reply_reset(struct http_request *request);

#endif
