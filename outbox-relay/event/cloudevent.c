/* See cloudevent.h. Once for every event sent: no allocation, no JSON tree. */
#include "outbox-relay/event/cloudevent.h"
#include "outbox-relay/base/buffer.h"
#include "shared/base/cleanup.h"
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

static void add_trace_headers(struct buffer *buffer, struct text headers)
{
    static const char *const NAMES[] = {"traceparent", "tracestate"};
    if (headers.length <= 2)
        return;
    for (size_t i = 0; i < ARRAY_SIZE(NAMES); i++) {
        struct text value = json_find_string(headers, NAMES[i]);
        if (value.length == 0)
            continue;
        BUFFER_ADD(buffer, ",\"");
        buffer_add(buffer, NAMES[i], strlen(NAMES[i]));
        BUFFER_ADD(buffer, "\":");
        buffer_add(buffer, value.data, value.length);
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
    add_trace_headers(buffer, event->headers);
    BUFFER_ADD(buffer, ",\"data\":");
    buffer_add(buffer, event->payload.data, event->payload.length);
    BUFFER_ADD(buffer, "}");
}

/* Skips a JSON string that begins at `at`; returns what follows, NULL at the end. */
static const char *skip_string(const char *at, const char *end)
{
    for (at++; at < end; at++) {
        if (*at == '\\')
            at++;
        else if (*at == '"')
            return at + 1;
    }
    return NULL;
}

static const char *skip_blank(const char *at, const char *end)
{
    while (at < end && (*at == ' ' || *at == ':'))
        at++;
    return at;
}

/* `at` is a string at depth 1. When it is the key that is looked for, gives its value. */
static bool match_member(
    const char *at, const char *after, const char *end, const char *key, struct text *ret_value)
{
    size_t length = strlen(key);
    const char *value = skip_blank(after, end);
    if (value == after || (size_t)(after - at) != length + 2 || memcmp(at + 1, key, length) != 0)
        return false; /* a value itself, or another key */
    if (value < end && *value == '"') {
        const char *value_end = skip_string(value, end);
        if (value_end)
            *ret_value = (struct text){value, (uint32_t)(value_end - value)};
    }
    return true;
}

struct text json_find_string(struct text object, const char *key)
{
    struct text found = {0};
    const char *end = object.data + object.length;
    int depth = 0;
    for (const char *at = object.data; at && at < end;) {
        if (*at == '"') {
            const char *after = skip_string(at, end);
            if (after && depth == 1 && match_member(at, after, end, key, &found))
                return found;
            at = after;
            continue;
        }
        if (*at == '{' || *at == '[')
            depth++;
        else if (*at == '}' || *at == ']')
            depth--;
        at++;
    }
    return found;
}
