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

#endif
