/* See cloudevent.h. Once for every event sent: no allocation, no JSON tree. */
#include "outbox-relay/event/cloudevent.h"
#include "outbox-relay/base/buffer.h"
#include "shared/base/traceparent.h"
#include "shared/base/uuid.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#define US_PER_S INT64_C(1000000)

static void add_escaped(struct buffer *buffer, unsigned char c)
{
    char escape[8];
    switch (c) {
    case '"':
        BUFFER_ADD(buffer, "\\\"");
        break;
    case '\\':
        BUFFER_ADD(buffer, "\\\\");
        break;
    case '\n':
        BUFFER_ADD(buffer, "\\n");
        break;
    default:
        snprintf(escape, sizeof(escape), "\\u%04x", c);
        buffer_add(buffer, escape, 6);
    }
}

static bool needs_escape(unsigned char c)
{
    return c < 0x20 || c == '"' || c == '\\';
}

/* The inside of a JSON string. */
static void add_string_part(struct buffer *buffer, struct text text)
{
    const char *from = text.data, *end = text.data + text.length;
    for (const char *c = from; c < end; c++) {
        if (!needs_escape((unsigned char)*c))
            continue;
        buffer_add(buffer, from, (size_t)(c - from));
        add_escaped(buffer, (unsigned char)*c);
        from = c + 1;
    }
    buffer_add(buffer, from, (size_t)(end - from));
}

void json_string_add(struct buffer *buffer, struct text text)
{
    BUFFER_ADD(buffer, "\"");
    add_string_part(buffer, text);
    BUFFER_ADD(buffer, "\"");
}

static void write_digits(char *text, uint64_t value, int digits)
{
    for (int i = digits - 1; i >= 0; i--, value /= 10)
        text[i] = (char)('0' + value % 10);
}

/* RFC 3339 in UTC with microseconds. Events of one second share the work of gmtime. */
static void add_time(struct buffer *buffer, int64_t unix_us)
{
    static _Thread_local int64_t cached_second = INT64_MIN;
    static _Thread_local char cached[32];
    int64_t second = unix_us / US_PER_S, micros = unix_us % US_PER_S;
    if (micros < 0) {
        second--;
        micros += US_PER_S;
    }
    if (second != cached_second) {
        time_t time = (time_t)second;
        struct tm parts;
        gmtime_r(&time, &parts);
        strftime(cached, sizeof(cached), "%Y-%m-%dT%H:%M:%S.", &parts);
        cached_second = second;
    }
    char fraction[7];
    write_digits(fraction, (uint64_t)micros, 6);
    fraction[6] = 'Z';
    buffer_add(buffer, cached, strlen(cached));
    buffer_add(buffer, fraction, sizeof(fraction));
}

/* The Distributed Tracing extension. What W3C Trace Context does not know would make the event
 * invalid, and is left out. */
static void add_trace(struct buffer *buffer, const struct event *event)
{
    struct text parent = event->traceparent, state = event->tracestate;
    if (traceparent_valid(parent.data, parent.length)) {
        BUFFER_ADD(buffer, ",\"traceparent\":");
        json_string_add(buffer, parent);
    }
    if (tracestate_valid(state.data, state.length)) {
        BUFFER_ADD(buffer, ",\"tracestate\":");
        json_string_add(buffer, state);
    }
}

void cloudevent_add(struct buffer *buffer, const char *source_json, const struct event *event)
{
    char id[36], sequence[20];
    uuid_write(event->uuid, id);
    write_digits(sequence, (uint64_t)event->id, sizeof(sequence));

    BUFFER_ADD(buffer, "{\"specversion\":\"1.0\",\"id\":\"");
    buffer_add(buffer, id, sizeof(id));
    BUFFER_ADD(buffer, "\",\"source\":");
    buffer_add(buffer, source_json, strlen(source_json));
    BUFFER_ADD(buffer, ",\"type\":");
    json_string_add(buffer, event->type);
    BUFFER_ADD(buffer, ",\"subject\":");
    json_string_add(buffer, event->aggregate_id);
    BUFFER_ADD(buffer, ",\"time\":\"");
    add_time(buffer, event->created_us);
    BUFFER_ADD(buffer, "\",\"datacontenttype\":\"application/json\",\"partitionkey\":\"");
    add_string_part(buffer, event->aggregate_type);
    BUFFER_ADD(buffer, ":");
    add_string_part(buffer, event->aggregate_id);
    BUFFER_ADD(buffer, "\",\"sequence\":\"");
    buffer_add(buffer, sequence, sizeof(sequence));
    BUFFER_ADD(buffer, "\"");
    add_trace(buffer, event);
    BUFFER_ADD(buffer, ",\"data\":");
    buffer_add(buffer, event->payload.data, event->payload.length);
    BUFFER_ADD(buffer, "}");
}
