/* Events as one read gave them: the rows stay in libpq's results, the events point into them. A
 * chunk is shared by all subscriptions that take its events, and counted. */
#ifndef RELAY_CHUNK_H
#define RELAY_CHUNK_H

#include "shared/base/cleanup.h"

#include <libpq-fe.h>
#include <stddef.h>
#include <stdint.h>

/* A text value inside a result; NUL-terminated there. */
struct text {
    const char *data;
    uint32_t length;
};

struct event {
    int64_t id;
    int64_t created_us; /* Unix time */
    uint64_t key;       /* hash of aggregate type and id */
    unsigned char uuid[16];
    struct text aggregate_type, aggregate_id, type, payload, headers;
    int attempts; /* of a parked event, else 0 */
};

#define CHUNK_MAX_RESULTS 2

struct chunk {
    int refs;
    PGresult *results[CHUNK_MAX_RESULTS];
    size_t bytes; /* of memory held */
    size_t count;
    int64_t payload_bytes; /* sum of the column size */
    struct event events[];
};

/* Takes one or two results (the second may be NULL) of READ_NEW, READ_LATE or READ_PARKED; the
 * events keep their order. The caller owns one reference. NULL: no memory, or a result that is no
 * such thing; the results are cleared. */
struct chunk *chunk_new(PGresult *take_first, PGresult *take_second);
struct chunk *chunk_ref(struct chunk *chunk);
void chunk_unref(struct chunk *chunk); /* accepts NULL */

/* The hash by which lanes and parked keys go. */
uint64_t event_key(struct text aggregate_type, struct text aggregate_id);

/* Writes the canonical text of a UUID, without NUL: 36 characters. */
void uuid_write(const unsigned char uuid[16], char text[36]);

#endif
