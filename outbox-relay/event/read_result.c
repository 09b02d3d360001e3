/* See read_result.h. */
#include "outbox-relay/event/read_result.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

/* Microseconds between PostgreSQL's epoch (2000-01-01) and Unix's. */
#define POSTGRES_EPOCH_US INT64_C(946684800000000)

static int64_t read_int64(const char *bytes)
{
    uint64_t value;
    memcpy(&value, bytes, sizeof(value));
    return (int64_t)be64toh(value);
}

static int32_t read_int32(const char *bytes)
{
    uint32_t value;
    memcpy(&value, bytes, sizeof(value));
    return (int32_t)be32toh(value);
}

static struct text read_text(const PGresult *result, int row, int column)
{
    return (struct text){
        PQgetvalue(result, row, column), (uint32_t)PQgetlength(result, row, column)};
}

/* jsonb in binary is a version byte and the text. */
static struct text read_jsonb(const PGresult *result, int row, int column)
{
    struct text text = read_text(result, row, column);
    if (text.length == 0)
        return text;
    return (struct text){text.data + 1, text.length - 1};
}

int32_t read_result_size(const PGresult *result, int row)
{
    return read_int32(PQgetvalue(result, row, EVENT_SIZE));
}

static void read_event(const PGresult *result, int row, struct event *event)
{
    event->id = read_int64(PQgetvalue(result, row, EVENT_ID));
    memcpy(event->uuid, PQgetvalue(result, row, EVENT_UUID), sizeof(event->uuid));
    event->aggregate_type = read_text(result, row, EVENT_AGGREGATE_TYPE);
    event->aggregate_id = read_text(result, row, EVENT_AGGREGATE_ID);
    event->type = read_text(result, row, EVENT_TYPE);
    event->created_us = read_int64(PQgetvalue(result, row, EVENT_CREATED_AT)) + POSTGRES_EPOCH_US;
    event->payload = read_jsonb(result, row, EVENT_PAYLOAD);
    event->traceparent = read_text(result, row, EVENT_TRACEPARENT);
    event->tracestate = read_text(result, row, EVENT_TRACESTATE);
    event->key = event_key(event->aggregate_type, event->aggregate_id);
    event->attempts = PQnfields(result) > EVENT_ATTEMPTS
                          ? read_int32(PQgetvalue(result, row, EVENT_ATTEMPTS))
                          : 0;
}

static bool is_usable(const PGresult *result)
{
    return !result || (PQresultStatus(result) == PGRES_TUPLES_OK && PQbinaryTuples(result) &&
                          PQnfields(result) >= EVENT_ATTEMPTS);
}

struct read_result *read_result_new(PGresult *take_first, PGresult *take_second)
{
    PGresult *results[READ_RESULT_PARTS] = {take_first, take_second};
    size_t count = 0;
    for (int i = 0; i < READ_RESULT_PARTS; i++)
        count += results[i] ? (size_t)PQntuples(results[i]) : 0;
    struct read_result *read = NULL;
    if (is_usable(take_first) && is_usable(take_second))
        read = malloc(sizeof(*read) + count * sizeof(struct event));
    if (!read) {
        PQclear(take_first);
        PQclear(take_second);
        return NULL;
    }
    *read = (struct read_result){.refs = 1, .count = count};
    read->bytes = sizeof(*read) + count * sizeof(struct event);
    struct event *event = read->events;
    for (int i = 0; i < READ_RESULT_PARTS; i++) {
        read->parts[i] = results[i];
        read->bytes += results[i] ? PQresultMemorySize(results[i]) : 0;
        int rows = results[i] ? PQntuples(results[i]) : 0;
        for (int row = 0; row < rows; row++, event++) {
            read_event(results[i], row, event);
            read->payload_bytes += read_result_size(results[i], row);
        }
    }
    return read;
}

struct read_result *read_result_ref(struct read_result *read)
{
    read->refs++;
    return read;
}

void read_result_unref(struct read_result *read)
{
    if (!read || --read->refs > 0)
        return;
    for (int i = 0; i < READ_RESULT_PARTS; i++)
        PQclear(read->parts[i]);
    free(read);
}
