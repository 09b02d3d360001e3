/* Events as they go out: whatever stands in the columns of an event, the request's body is one JSON
 * object that says just that. Input: type, aggregate type, aggregate id, traceparent, tracestate,
 * payload, with a NUL between them. */
#include "outbox-relay/event/cloudevent.h"
#include "shared/base/json.h"
#include "shared/base/traceparent.h"
#include "shared/base/utf8.h"
#include "tests/fuzz/fuzz.h"

#include <jansson.h>

#define SOURCE "/shop \"1\""

struct columns {
    char *type, *aggregate_type, *aggregate_id, *traceparent, *tracestate, *payload;
};

static struct text text_of(const char *text)
{
    return (struct text){text, (uint32_t)strlen(text)};
}

static void require_member(const json_t *event, const char *name, const char *wanted)
{
    const char *text = json_string_value(json_object_get(event, name));
    REQUIRE(wanted ? text && strcmp(text, wanted) == 0 : !json_object_get(event, name));
}

static void require_event(const json_t *event, const struct columns *columns)
{
    AUTO_JSON json_t *payload = json_loads(columns->payload, JSON_DECODE_ANY, NULL);
    AUTO_FREE char *key = NULL;
    REQUIRE(asprintf(&key, "%s:%s", columns->aggregate_type, columns->aggregate_id) >= 0);
    require_member(event, "specversion", "1.0");
    require_member(event, "source", SOURCE);
    require_member(event, "type", columns->type);
    require_member(event, "subject", columns->aggregate_id);
    require_member(event, "partitionkey", key);
    require_member(event, "datacontenttype", "application/json");
    const char *parent = columns->traceparent, *state = columns->tracestate;
    require_member(event, "traceparent", traceparent_valid(parent, strlen(parent)) ? parent : NULL);
    require_member(event, "tracestate", tracestate_valid(state, strlen(state)) ? state : NULL);
    REQUIRE(json_equal(json_object_get(event, "data"), payload));
}

/* As PostgreSQL writes jsonb; null when it is no object or list. Takes the text. */
static char *as_jsonb(char *take_text)
{
    AUTO_FREE char *text = take_text;
    AUTO_JSON json_t *json = json_loads(text, 0, NULL);
    char *written = json ? json_dumps(json, 0) : strdup("null");
    REQUIRE(written);
    return written;
}

static void write_event(struct columns *columns, uint64_t random)
{
    struct event event = {
        .id = (int64_t)(random >> 1),
        .created_us = (int64_t)(random % UINT64_C(4102444800000000)),
        .type = text_of(columns->type),
        .aggregate_type = text_of(columns->aggregate_type),
        .aggregate_id = text_of(columns->aggregate_id),
        .traceparent = text_of(columns->traceparent),
        .tracestate = text_of(columns->tracestate),
        .payload = text_of(columns->payload),
    };
    struct buffer buffer = {0};
    memcpy(event.uuid, &random, sizeof(random));
    struct text source = text_of(SOURCE);
    struct buffer source_json = {0};
    json_string_add(&source_json, source);
    buffer_add(&source_json, "", 1);
    cloudevent_add(&buffer, source_json.data, &event);
    REQUIRE(!buffer.failed);
    AUTO_JSON json_t *json = json_loadb(buffer.data, buffer.length, JSON_REJECT_DUPLICATES, NULL);
    REQUIRE(json_is_object(json));
    require_event(json, columns);
    buffer_release(&source_json);
    buffer_release(&buffer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {(const char *)data, size};
    AUTO_FREE char *type = fuzz_text(&input);
    AUTO_FREE char *aggregate_type = fuzz_text(&input);
    AUTO_FREE char *aggregate_id = fuzz_text(&input);
    AUTO_FREE char *traceparent = fuzz_text(&input);
    AUTO_FREE char *tracestate = fuzz_text(&input);
    AUTO_FREE char *payload_jsonb = as_jsonb(fuzz_text(&input));
    struct columns columns = {
        type, aggregate_type, aggregate_id, traceparent, tracestate, payload_jsonb};
    if (utf8_valid(type, NULL) && utf8_valid(aggregate_type, NULL) &&
        utf8_valid(aggregate_id, NULL))
        write_event(&columns, fuzz_hash(data, size));
    return 0;
}
