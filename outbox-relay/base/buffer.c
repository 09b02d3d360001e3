/* See buffer.h. */
#include "outbox-relay/base/buffer.h"

#define SMALLEST 1024

void buffer_release(struct buffer *buffer)
{
    free(buffer->data);
    *buffer = (struct buffer){0};
}

bool buffer_reserve(struct buffer *buffer, size_t more)
{
    if (buffer->failed)
        return false;
    if (buffer->capacity - buffer->length >= more)
        return true;
    size_t capacity = buffer->capacity ? buffer->capacity : SMALLEST;
    while (capacity - buffer->length < more) {
        if (capacity > SIZE_MAX / 2) {
            buffer->failed = true;
            return false;
        }
        capacity *= 2;
    }
    char *data = realloc(buffer->data, capacity);
    if (!data) {
        buffer->failed = true;
        return false;
    }
    buffer->data = data;
    buffer->capacity = capacity;
    return true;
}

void buffer_clear(struct buffer *buffer, size_t keep)
{
    if (buffer->capacity > keep)
        buffer_release(buffer);
    buffer->length = 0;
    buffer->failed = false;
}
