/* CloudEvents 1.0 in structured mode, one or a batch, from the body of a request. The binary mode
 * is not taken: a batch has no such form, and the relay does not send it. */
#include "shared/base/json.h"
#include "shared/base/traceparent.h"
#include "shared/base/uuid.h"
#include "shared/service/inbox_internal.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define MAX_ATTRIBUTE 255

/* Whether the Content-Type is this one, whatever its parameters. */
static bool is_media_type(const char *content_type, const char *wanted)
{
    size_t length = strcspn(content_type, "; \t");
    return length == strlen(wanted) && strncasecmp(content_type, wanted, length) == 0;
}

static bool read_id(const char *text, char ret_id[INBOX_ID_SIZE])
{
    if (!uuid_is_valid(text))
        return false;
    for (size_t i = 0; i < INBOX_ID_SIZE; i++)
        ret_id[i] = (char)tolower((unsigned char)text[i]);
    return true;
}

/* An attribute of 1 to MAX_ATTRIBUTE bytes; NULL when it is something else or absent. */
static const char *attribute(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text && *text && strlen(text) <= MAX_ATTRIBUTE ? text : NULL;
}

/* Absent, or a proper attribute. */
static bool optional_attribute(const json_t *object, const char *name, const char **ret_text)
{
    *ret_text = attribute(object, name);
    return *ret_text || !json_object_get(object, name);
}

/* The headers of events emitted in answer: the trace goes on from the event, not from the relay's
 * request, which may carry the events of many. */
static char *answer_headers(struct http_request *request, const json_t *object)
{
    const char *traceparent = attribute(object, "traceparent");
    if (!traceparent || !traceparent_valid(traceparent, strlen(traceparent)))
        return strdup(http_event_headers(request));
    AUTO_JSON json_t *headers = json_pack("{s:s, s:s, s:s*}", "traceparent", traceparent,
        "requestid", http_request_id(request), "tracestate", attribute(object, "tracestate"));
    return headers ? json_dumps(headers, JSON_COMPACT) : NULL;
}

static const struct inbox_route *find_route(
    const struct inbox_route *routes, size_t count, const char *type)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(routes[i].type, type) == 0)
            return &routes[i];
    }
    return NULL;
}

/* Reads one event. NULL when it is right, else what is wrong. */
static const char *read_event(const json_t *object, struct inbox_item *item)
{
    struct inbox_event *event = &item->event;
    const char *version = json_string_value(json_object_get(object, "specversion"));
    const char *partition_key, *subject;
    if (!json_is_object(object))
        return "an event must be a JSON object";
    if (!version || strcmp(version, "1.0") != 0)
        return "specversion must be \"1.0\"";
    if (!read_id(json_string_value(json_object_get(object, "id")), item->id))
        return "id must be a UUID";
    event->source = attribute(object, "source");
    event->type = attribute(object, "type");
    if (!event->source || !event->type)
        return "source and type must be texts of 1 to 255 bytes";
    if (!optional_attribute(object, "partitionkey", &partition_key) ||
        !optional_attribute(object, "subject", &subject))
        return "partitionkey and subject must be texts of 1 to 255 bytes";
    event->data = json_object_get(object, "data");
    if (!json_is_object(event->data))
        return "data must be a JSON object";
    event->id = item->id;
    event->key = partition_key ? partition_key : subject ? subject : item->id;
    return NULL;
}

static int read_item(struct http_request *request, const struct inbox_route *routes,
    size_t route_count, const json_t *object, size_t index, struct inbox_item *item)
{
    const char *complaint = read_event(object, item);
    if (complaint)
        return http_problem(request, 400, "bad_event", "event %zu: %s", index, complaint);
    item->route = find_route(routes, route_count, item->event.type);
    if (!item->route)
        return 0;
    item->data_text = json_dumps(item->event.data, JSON_COMPACT);
    item->headers = answer_headers(request, object);
    if (!item->data_text || !item->headers)
        return http_problem(request, 500, "internal", "out of memory");
    item->event.data_text = item->data_text;
    item->event.headers = item->headers;
    return 0;
}

static int read_items(struct http_request *request, const struct inbox_route *routes,
    size_t route_count, const json_t *body, struct inbox_batch *batch)
{
    bool many = json_is_array(body);
    size_t count = many ? json_array_size(body) : 1;
    if (count < 1 || count > INBOX_MAX_EVENTS)
        return http_problem(
            request, 400, "bad_event", "a batch must hold 1 to %d events", INBOX_MAX_EVENTS);
    batch->items = calloc(count, sizeof(*batch->items));
    if (!batch->items)
        return http_problem(request, 500, "internal", "out of memory");
    batch->count = count;
    for (size_t i = 0; i < count; i++) {
        int status = read_item(request, routes, route_count, many ? json_array_get(body, i) : body,
            i, &batch->items[i]);
        if (status != 0)
            return status;
    }
    return 0;
}

int inbox_batch_read(struct http_request *request, const char *content_type,
    const struct inbox_route *routes, size_t route_count, struct inbox_batch *batch)
{
    bool many = content_type && is_media_type(content_type, "application/cloudevents-batch+json");
    bool one = content_type && (is_media_type(content_type, "application/cloudevents+json") ||
                                   is_media_type(content_type, "application/json"));
    if (!many && !one)
        return http_problem(request, 415, "unsupported_media_type",
            "Content-Type must be application/cloudevents+json or "
            "application/cloudevents-batch+json");
    const json_t *body = NULL;
    int status = http_json_value(request, &body);
    if (status != 0)
        return status;
    if (many != json_is_array(body))
        return http_problem(request, 400, "bad_event",
            many ? "the body must be an array of events" : "the body must be one event");
    return read_items(request, routes, route_count, body, batch);
}

void inbox_batch_release(struct inbox_batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        free(batch->items[i].data_text);
        free(batch->items[i].headers);
        free(batch->items[i].event.error);
    }
    free(batch->items);
    batch->items = NULL;
    batch->count = 0;
}
