/* What the files of the HTTP server share among themselves. Handlers see shared/http/http.h only.
 */
#ifndef SHARED_HTTP_INTERNAL_H
#define SHARED_HTTP_INTERNAL_H

#include "shared/base/cleanup.h"
#include "shared/http/http.h"

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
    char traceparent[HTTP_TRACEPARENT_SIZE];
    struct timespec started; /* CLOCK_MONOTONIC */

    struct http_reply reply;
};

struct http_server {
    struct http_settings settings; /* program and address are owned copies */
    struct MHD_Daemon *daemon;
    struct http_watch *watch;
    uint16_t port;
    atomic_bool stopping;
    pthread_mutex_t lock; /* guards in_flight */
    pthread_cond_t idle;  /* in_flight has become 0 */
    int in_flight;        /* requests whose headers have arrived and that are not done */
};

/* http_watch.c */

struct http_watch;   /* the deadlines of all connections of a server, and their thread */
struct http_watched; /* that of one connection */

struct http_watch *http_watch_start(void);      /* NULL: no memory or no thread */
void http_watch_stop(struct http_watch *watch); /* after the last http_watch_remove; NULL allowed */
struct http_watched *http_watch_add(struct http_watch *watch, int fd); /* NULL: no memory */
void http_watch_remove(struct http_watched *watched); /* before fd is closed; NULL allowed */
/* Shuts the connection down unless the deadline is set anew within `timeout_ms`; 0: no deadline. */
void http_watch_within(struct http_watched *watched, int64_t timeout_ms);

/* http_router.c */

/* Digits only, no leading zero, 1 to INT64_MAX. Returns 0 or -EINVAL. */
MUST_CHECK int http_parse_id(const char *text, size_t length, int64_t *ret_id);
/* Finds the route and the path ids, from the server's routes and the built-in ones. Returns 0 or
 * the status of the problem it has replied with: 400, 404 or 405. */
MUST_CHECK int http_route_find(struct http_request *request);

/* http_framing.c */

/* Why the length of the request may be read in more than one way, as static text; NULL when it may
 * not. After an answer to it the connection must be closed. */
const char *http_framing_complaint(const struct http_request *request);

/* http_query.c */

/* Splits and decodes the raw query. Returns 0, -EINVAL (bad encoding, not UTF-8, NUL, too many) or
 * -ENOMEM; what was parsed until then is released by http_query_release. */
MUST_CHECK int http_query_parse(struct http_request *request, const char *query);
void http_query_release(struct http_request *request);

/* http_identity.c */

/* Sets request_id and traceparent from the client's headers (NULL: absent) or anew. */
void http_identify(struct http_request *request, const char *request_id, const char *traceparent);

/* http_access.c */

/* Checks the token and the owner as the route asks. Returns 0 or the status of the problem. */
MUST_CHECK int http_authorize(struct http_request *request);

/* http_request.c */

/* The body as any JSON value, borrowed; otherwise as http_json_body. */
MUST_CHECK int http_json_value(struct http_request *request, const json_t **ret_value);

/* http_reply.c */

/* Forgets the reply with its headers, so that a transaction can be run again. */
void http_reply_reset(struct http_request *request);
/* Hands the reply to libmicrohttpd. */
enum MHD_Result http_reply_send(struct http_request *request);

/* http_observe.c */

/* Registers the metrics once for the process; the pool (may be NULL) is shown until the next call.
 */
void http_observe_start(const char *program, struct db_pool *pool);
/* Counts and logs a request that is done. `aborted`: the client did not get the whole answer. */
void http_observe(const struct http_request *request, bool aborted);
void http_observe_in_flight(int change);

/* http_builtin.c */
extern const struct http_route http_builtin_routes[];
extern const size_t http_builtin_route_count;

#endif
