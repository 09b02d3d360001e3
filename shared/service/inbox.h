/* The consumer's half: POST /internal/events. Verifies the signature, parses one CloudEvent or a
 * batch, drops what inbox.message has already seen, runs the handlers, and commits inbox rows,
 * effects and the consumer's own events in one transaction per request. When one event fails, it is
 * rolled back to its savepoint, the rest goes through (later events of the same key are not tried),
 * and the answer is 200 {"failed":[{"id","error","permanent"}]}; one event alone that fails gets
 * 422 (permanent) or 500. A database that is down gives 503, so that the relay's breaker holds. */
#ifndef SHARED_INBOX_H
#define SHARED_INBOX_H

#include "shared/base/cleanup.h"
#include "shared/db/db.h"
#include "shared/http/fields.h"
#include "shared/http/http.h"

#include "shared/base/json.h"

struct inbox_event {
    const char *id;     /* UUID */
    const char *source; /* "/order" */
    const char *type;
    const char *key;       /* partitionkey, or subject */
    const json_t *data;    /* an object */
    const char *data_text; /* the same as JSON text */
    const char *headers;   /* headers for events emitted in answer: carries traceparent on */
    char *error;           /* for inbox_reject; internal */
};

/* Handles one event inside the transaction. Returns 0, or a negative error of db.h, or what
 * inbox_reject returned. Must be harmless when the event is older than what is known. */
typedef int inbox_handler(struct db *tx, struct inbox_event *event);

struct inbox_route {
    const char *type; /* exact event type; one that is in no route is accepted and ignored */
    inbox_handler *handler;
};

/* Says that this event can never be handled and why (shown to the operator by the relay). Returns
 * -EBADMSG. */
int inbox_reject(struct inbox_event *event, const char *format, ...) PRINTF_LIKE(2, 3);

/* fields_parse for an event's data: 0, or -EBADMSG with the reason kept. */
MUST_CHECK int inbox_fields(struct inbox_event *event, const struct field *fields, size_t count);

/* Sets up the process's inbox: `secrets` is a list, separated by spaces or commas, of whsec_ texts,
 * each of which may be bound to a source: "order=whsec_…" signs for events of source /order only.
 * Returns 0 or -EINVAL when one is malformed or there is none. */
MUST_CHECK int inbox_configure(const struct inbox_route *routes, size_t count, const char *secrets);

/* The handler of POST /internal/events; service_main adds the route for a service that handles
 * events. */
int inbox_receive(struct http_request *request);

#endif
