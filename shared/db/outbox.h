/* Emits an event into the service's outbox, in the caller's transaction (see docs/outbox.md). */
#ifndef SHARED_OUTBOX_H
#define SHARED_OUTBOX_H

#include "shared/base/cleanup.h"
#include "shared/db/db.h"

#include "shared/base/json.h"
#include "shared/base/uuid.h"

#define EVENT_ID_SIZE (UUID_LENGTH + 1)

struct outbox_event {
    const char *aggregate_type; /* "order" */
    int64_t aggregate_id;       /* the key: events of one aggregate keep their order */
    const char *type;           /* "order.created" */
    const json_t *payload;      /* borrowed */
    const char *headers;        /* JSON object text, see http_event_headers(); NULL: {} */
};

/* Calls outbox.emit; ret_event_id may be NULL. Errors as in db.h. A statement may as well call
 * outbox.emit itself. */
MUST_CHECK int outbox_emit(
    struct db *tx, const struct outbox_event *event, char ret_event_id[EVENT_ID_SIZE]);

#endif
