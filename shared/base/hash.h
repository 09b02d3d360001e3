/* FNV-1a, 64 bits (http://www.isthe.com/chongo/tech/comp/fnv/): for tables in memory whose keys
 * nobody chooses to collide. Its low bits are good enough for a table of a power of two places. */
#ifndef SHARED_HASH_H
#define SHARED_HASH_H

#include <stddef.h>
#include <stdint.h>

#define HASH_START UINT64_C(0xcbf29ce484222325)

static inline uint64_t hash_byte(uint64_t hash, unsigned char byte)
{
    return (hash ^ byte) * UINT64_C(0x100000001b3);
}

/* Goes on from `hash`: HASH_START, or what a call before has returned. */
static inline uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t length)
{
    const unsigned char *byte = bytes;
    for (size_t i = 0; i < length; i++)
        hash = hash_byte(hash, byte[i]);
    return hash;
}

/* The same for a text with its NUL, so that "a","bc" and "ab","c" differ. */
static inline uint64_t hash_text(uint64_t hash, const char *text)
{
    do
        hash = hash_byte(hash, (unsigned char)*text);
    while (*text++);
    return hash;
}

#endif
