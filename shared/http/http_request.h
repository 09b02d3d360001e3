/* A request in the server: what the client has sent, what was made of it, and the reply so far. Of
 * the server's own files; handlers see shared/http/http.h only. */
#ifndef SHARED_HTTP_REQUEST_H
#define SHARED_HTTP_REQUEST_H

#include "shared/base/json.h"
#include "shared/base/traceparent.h"
#include "shared/http/claims.h"
#include "shared/http/http.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP_REQUEST_ID_SIZE 129
#define HTTP_MAX_REPLY_HEADERS 8
#define HTTP_JSON_MAX_DEPTH 64

struct MHD_Connection;
struct http_watched;

/* What all requests of a server have in common. */
struct http_app {
    struct http_settings settings;
    atomic_bool stopping;
};

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
    const struct http_app *app;
    struct MHD_Connection *connection; /* NULL in unit tests that need no socket */
    struct http_watched *watched;      /* the same connection's deadline */
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
    char traceparent[TRACEPARENT_LENGTH + 1];
    int64_t started_us; /* clock_us() */

    struct http_reply reply;
};

#endif
