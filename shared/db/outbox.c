/* Emits an event through the SQL function that is the only way into the outbox. */
#include "shared/db/outbox.h"
#include "shared/db/result.h"

#include <errno.h>
#include <stdio.h>

static const struct db_statement EMIT = {
    "outbox_emit", "select outbox.emit($1::text, $2::text, $3::text, $4::jsonb, $5::jsonb)"};

int outbox_emit(struct db *tx, const struct outbox_event *event, char ret_event_id[EVENT_ID_SIZE])
{
    AUTO_FREE char *payload = json_dumps(event->payload, JSON_COMPACT);
    if (!payload)
        return -EIO;
    AUTO_RESULT PGresult *result = NULL;
    int error = db_query(tx, &EMIT,
        DB_PARAMS(DB_TEXT(event->aggregate_type), DB_INT(event->aggregate_id), DB_TEXT(event->type),
            DB_TEXT(payload), DB_TEXT(event->headers ? event->headers : "{}")),
        &result);
    if (error < 0)
        return error;
    if (ret_event_id)
        snprintf(ret_event_id, EVENT_ID_SIZE, "%s", db_text(result, 0, 0));
    return 0;
}
