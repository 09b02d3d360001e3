/* See chunk.h. */
#include "outbox-relay/chunk.h"
#include "outbox-relay/statements.h"

#include <endian.h>
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

/* FNV-1a over both parts, with a final mix, so that the low bits are good for a lane number. */
uint64_t event_key(struct text aggregate_type, struct text aggregate_id)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (uint32_t i = 0; i < aggregate_type.length; i++)
        hash = (hash ^ (unsigned char)aggregate_type.data[i]) * UINT64_C(0x100000001b3);
    hash = (hash ^ 0xff) * UINT64_C(0x100000001b3); /* a byte that is in no UTF-8 text */
    for (uint32_t i = 0; i < aggregate_id.length; i++)
        hash = (hash ^ (unsigned char)aggregate_id.data[i]) * UINT64_C(0x100000001b3);
    hash ^= hash >> 32;
    hash *= UINT64_C(0xd6e8feb86659fd93);
    return hash ^ hash >> 32;
}

static void read_event(const PGresult *result, int row, struct event *event, int32_t *ret_size)
{
    event->id = read_int64(PQgetvalue(result, row, EVENT_ID));
    memcpy(event->uuid, PQgetvalue(result, row, EVENT_UUID), sizeof(event->uuid));
    event->aggregate_type = read_text(result, row, EVENT_AGGREGATE_TYPE);
    event->aggregate_id = read_text(result, row, EVENT_AGGREGATE_ID);
    event->type = read_text(result, row, EVENT_TYPE);
    event->created_us = read_int64(PQgetvalue(result, row, EVENT_CREATED_AT)) + POSTGRES_EPOCH_US;
    event->payload = read_jsonb(result, row, EVENT_PAYLOAD);
    event->headers = read_jsonb(result, row, EVENT_HEADERS);
    event->key = event_key(event->aggregate_type, event->aggregate_id);
    event->attempts = PQnfields(result) > EVENT_ATTEMPTS
                          ? read_int32(PQgetvalue(result, row, EVENT_ATTEMPTS))
                          : 0;
    *ret_size = read_int32(PQgetvalue(result, row, EVENT_SIZE));
}

static bool is_usable(const PGresult *result)
{
    return !result || (PQresultStatus(result) == PGRES_TUPLES_OK && PQbinaryTuples(result) &&
                          PQnfields(result) >= EVENT_ATTEMPTS);
}

struct chunk *chunk_new(PGresult *take_first, PGresult *take_second)
{
    PGresult *results[CHUNK_MAX_RESULTS] = {take_first, take_second};
    size_t count = 0;
    for (int i = 0; i < CHUNK_MAX_RESULTS; i++)
        count += results[i] ? (size_t)PQntuples(results[i]) : 0;
    struct chunk *chunk = NULL;
    if (is_usable(take_first) && is_usable(take_second))
        chunk = malloc(sizeof(*chunk) + count * sizeof(struct event));
    if (!chunk) {
        PQclear(take_first);
        PQclear(take_second);
        return NULL;
    }
    *chunk = (struct chunk){.refs = 1, .count = count};
    chunk->bytes = sizeof(*chunk) + count * sizeof(struct event);
    struct event *event = chunk->events;
    for (int i = 0; i < CHUNK_MAX_RESULTS; i++) {
        chunk->results[i] = results[i];
        chunk->bytes += results[i] ? PQresultMemorySize(results[i]) : 0;
        int rows = results[i] ? PQntuples(results[i]) : 0;
        for (int row = 0; row < rows; row++, event++) {
            int32_t size;
            read_event(results[i], row, event, &size);
            chunk->payload_bytes += size;
        }
    }
    return chunk;
}

struct chunk *chunk_ref(struct chunk *chunk)
{
    chunk->refs++;
    return chunk;
}

void chunk_unref(struct chunk *chunk)
{
    if (!chunk || --chunk->refs > 0)
        return;
    for (int i = 0; i < CHUNK_MAX_RESULTS; i++)
        PQclear(chunk->results[i]);
    free(chunk);
}

void uuid_write(const unsigned char uuid[16], char text[36])
{
    static const char HEX[] = "0123456789abcdef";
    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *text++ = '-';
        *text++ = HEX[uuid[i] >> 4];
        *text++ = HEX[uuid[i] & 15];
    }
}
