/* What the files of the inbox share: a request's events and what became of each. */
#ifndef SHARED_INBOX_INTERNAL_H
#define SHARED_INBOX_INTERNAL_H

#include "shared/base/cleanup.h"
#include "shared/base/uuid.h"
#include "shared/service/inbox.h"

#include <stdbool.h>

#define INBOX_MAX_EVENTS 1000
#define INBOX_ID_SIZE (UUID_LENGTH + 1)

enum inbox_outcome {
    INBOX_PENDING,   /* not tried yet */
    INBOX_HANDLED,   /* its handler ran */
    INBOX_DUPLICATE, /* had been handled before, or stands twice in the batch */
    INBOX_IGNORED,   /* recorded; no route has its type */
    INBOX_FAILED,    /* rolled back; event.error says why */
};

struct inbox_item {
    struct inbox_event event;
    const struct inbox_route *route; /* NULL: its type is in none */
    char id[INBOX_ID_SIZE];          /* lower case, as PostgreSQL prints it */
    char *data_text, *headers;       /* owned; event borrows them */
    enum inbox_outcome outcome;
    bool permanent; /* failed for ever */
};

struct inbox_batch {
    struct inbox_item *items; /* in the order they came */
    size_t count;
};

/* Reads the CloudEvents of the body, which has this Content-Type (NULL: it does not say). Returns
 * 0, or the status of the problem it has replied with; release the batch in either case. */
MUST_CHECK int inbox_batch_read(struct http_request *request, const char *content_type,
    const struct inbox_route *routes, size_t route_count, struct inbox_batch *batch);
void inbox_batch_release(struct inbox_batch *batch);

/* Handles all events in one transaction. Returns 0 when the outcome of each is in its item, or
 * -ENOTCONN, -EAGAIN or -EIO when nothing was done. */
MUST_CHECK int inbox_batch_run(struct db_pool *pool, struct inbox_batch *batch);

#endif
