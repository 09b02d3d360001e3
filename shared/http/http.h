/* The HTTP server of every program, on libmicrohttpd: a routes table, typed path ids, bounded
 * bodies, problem answers, request ids, metrics, idempotency keys.
 *
 * One thread per connection: a slow handler holds up only its own client. The number of connections
 * is bounded, the gateway keeps them alive. A handler runs once, after the whole body has arrived:
 * parse -> authorise -> transact -> reply; every reply function returns the status, so a handler
 * reads `return http_problem(request, 404, …)`. */
#ifndef SHARED_HTTP_H
#define SHARED_HTTP_H

#include "shared/base/cleanup.h"
#include "shared/db/db.h"
#include "shared/http/claims.h"

#include "shared/base/json.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP_MAX_PATH_IDS 4

struct http_server;
struct http_request;

/* Handles a request whose route matched and whose token was accepted; returns the status it replied
 * with (what a reply function returned). */
typedef int http_handler(struct http_request *request);

enum http_access {
    HTTP_OPEN,  /* no token needed */
    HTTP_TOKEN, /* any role */
    HTTP_USER,  /* role USER */
    HTTP_ADMIN, /* role ADMIN */
    HTTP_OWNER, /* role USER, and the first {id} of the path is the token's sub */
};

struct http_route {
    const char *method;
    const char *path; /* "/users/{id}/orders/{id}": {id} is a positive int64, else 400 naming it */
    enum http_access access;
    http_handler *handler;
};

struct http_settings {
    const char *program; /* for Server-less answers and logs */
    const char *address; /* to listen on, "127.0.0.1" */
    uint16_t port;       /* 0: any free one, see http_server_port */
    int max_connections;
    size_t max_body; /* bytes; more gets 413 without being read */
    int idle_timeout_s;
    const struct http_route *routes; /* borrowed for the server's life */
    size_t route_count;
    const struct http_authenticator *auth; /* borrowed; NULL: every route must be HTTP_OPEN */
    struct db_pool *pool;                  /* NULL for a program without a database */
    /* /readyz: returns 0, or -1 with the reason in `reason`. NULL: the database answers (when there
     * is one) and tokens can be checked (when there is auth). */
    int (*ready)(char *reason, size_t size);
};

/* Starts to listen. /livez, /readyz, /health and /metrics are served beside the routes. Errors:
 * -EADDRINUSE, -EACCES, -EADDRNOTAVAIL, -EIO. */
MUST_CHECK int http_server_start(
    const struct http_settings *settings, struct http_server **ret_server);
uint16_t http_server_port(const struct http_server *server);

/* Turns /readyz to 503 and closes the listening socket, lets requests in progress end (at most
 * `timeout_ms`), then closes and frees. */
void http_server_stop(struct http_server *server, int timeout_ms);

/* What the handler may ask. Returned strings live as long as the request. */
int64_t http_path_id(const struct http_request *request, size_t index); /* the index-th {id} */
const char *http_header(const struct http_request *request, const char *name); /* NULL: absent */
const char *http_query(const struct http_request *request, const char *name);  /* first; NULL */
size_t http_query_all(
    const struct http_request *request, const char *name, const char **values, size_t max);
const void *http_body(const struct http_request *request, size_t *ret_length); /* NUL follows */
const struct auth_claims *http_claims(const struct http_request *request);     /* NULL: HTTP_OPEN */
const char *http_request_id(const struct http_request *request);               /* never NULL */
/* {"traceparent":"…","requestid":"…"}: the headers argument of outbox.emit for this request. */
const char *http_event_headers(struct http_request *request);
struct db_pool *http_pool(const struct http_request *request);

/* Parses the body as one JSON object, duplicate keys refused, at most 64 levels deep. Returns 0 and
 * a borrowed value (freed with the request); or the status of the problem it has replied with
 * (400). An empty body: *ret_object is NULL when `optional`, else 400. */
MUST_CHECK int http_json_body(struct http_request *request, bool optional, json_t **ret_object);

/* The body as any JSON value, borrowed; otherwise as http_json_body. */
MUST_CHECK int http_json_value(struct http_request *request, const json_t **ret_value);

/* Replies; each returns the status. The last reply before the handler returns counts. */
int http_reply_json(struct http_request *request, int status, json_t *take_value); /* NULL: 500 */
int http_reply_json_text(struct http_request *request, int status, const char *json); /* copied */
int http_reply(struct http_request *request, int status, const char *content_type, const void *body,
    size_t length); /* copied */
void http_reply_header(struct http_request *request, const char *name, const char *value);

/* application/problem+json of RFC 9457: type, title, status, detail (the format), code, requestId.
 * `code` is one of docs/errors.md. A 503 carries Retry-After. */
int http_problem(struct http_request *request, int status, const char *code, const char *format,
    ...) PRINTF_LIKE(4, 5);

/* The same with the member "field": the JSON path or parameter that is wrong. */
int http_problem_field(struct http_request *request, int status, const char *code,
    const char *field, const char *format, ...) PRINTF_LIKE(5, 6);

/* The work of a request inside its transaction: returns the status of the reply it has made (below
 * 400 commits, else rolls back) or a negative error of db.h. It may run several times. */
typedef int http_work(struct http_request *request, struct db *tx, void *context);

/* Runs `work` by db_transact and returns the status. For a POST with an Idempotency-Key the key is
 * claimed first in the same transaction (table web.idempotency_key, by client and key): a repeat
 * gets the stored answer with Idempotency-Replayed: true, the same key with another method, path or
 * body 422. Answers of 400 and more are not stored. What is stored is the answer and a plain
 * SHA-256 of the body: a handler conceals a password in the body before, and an answer that is a
 * secret does not come from here. Database errors become problems: -ENOTCONN 503, else 500. */
int http_transact(struct http_request *request, http_work *work, void *context);

/* A read outside of a transaction block: runs one statement whose first row's first column is the
 * JSON text of the answer, replies with it and 200; no row, or null: 404 with `missing` as code and
 * detail "… not found"; `missing` NULL: 500. A second column becomes the header X-Total-Count. */
int http_reply_query(struct http_request *request, const char *missing,
    const struct db_statement *statement, const struct db_param *params, size_t param_count);

/* Pages: `?page=&size=` are the caller's names; gives page >= 0 (default 0) and 1 <= size <= 100
 * (default 20), or replies 400. Returns 0 or the status. */
MUST_CHECK int http_page_query(struct http_request *request, const char *page_name,
    const char *size_name, int64_t *ret_page, int64_t *ret_size);

/* A page of what belongs to the first {id} of the path, by `?page=&size=`: the statement gets the
 * id, the size, and how many rows come before. As http_reply_query otherwise. */
int http_reply_page(struct http_request *request, const struct db_statement *statement);

#endif
