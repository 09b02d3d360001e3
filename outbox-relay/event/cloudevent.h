/* CloudEvents 1.0 in JSON (structured mode), single and batched. */
#ifndef RELAY_CLOUDEVENT_H
#define RELAY_CLOUDEVENT_H

#include "outbox-relay/base/buffer.h"
#include "outbox-relay/event/event.h"

#define CLOUDEVENT_TYPE "application/cloudevents+json"
#define CLOUDEVENT_BATCH_TYPE "application/cloudevents-batch+json"

/* Appends one event as a JSON object. `source` is JSON text: a quoted string. The payload is
 * spliced in as it is. */
void cloudevent_add(struct buffer *buffer, const char *source_json, const struct event *event);

/* Appends a JSON string, quoted and escaped. `text` must be UTF-8. */
void json_string_add(struct buffer *buffer, struct text text);

/* Finds a string member of a flat look at a JSON object's text, as PostgreSQL writes jsonb ("key":
 * "value"). Returns the raw JSON string with its quotes; length 0 when it is not there or is no
 * string. */
struct text json_find_string(struct text object, const char *key);

#endif
