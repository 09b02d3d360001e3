/* A growing byte buffer that keeps its memory between uses, for request bodies. */
#ifndef RELAY_BUFFER_H
#define RELAY_BUFFER_H

#include "shared/base/cleanup.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct buffer {
    char *data;
    size_t length, capacity;
    bool failed; /* out of memory: nothing more is added until buffer_clear() */
};

void buffer_release(struct buffer *buffer);

/* Makes room for `more` bytes; false (and failed) when out of memory. */
bool buffer_reserve(struct buffer *buffer, size_t more);

/* Empties it; memory above `keep` bytes is given back. */
void buffer_clear(struct buffer *buffer, size_t keep);

static inline void buffer_add(struct buffer *buffer, const char *data, size_t length)
{
    if (buffer->capacity - buffer->length < length && !buffer_reserve(buffer, length))
        return;
    if (length > 0) /* memcpy must not be given NULL, not even for nothing */
        memcpy(buffer->data + buffer->length, data, length);
    buffer->length += length;
}

/* For string literals. */
#define BUFFER_ADD(buffer, literal) buffer_add((buffer), "" literal, sizeof(literal) - 1)

#endif
