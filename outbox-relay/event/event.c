/* See event.h. */
#include "outbox-relay/event/event.h"
#include "shared/base/hash.h"

/* FNV-1a over both parts, with a final mix, so that the low bits are good for a lane number. */
uint64_t event_key(struct text aggregate_type, struct text aggregate_id)
{
    uint64_t hash = hash_bytes(HASH_START, aggregate_type.data, aggregate_type.length);
    hash = hash_byte(hash, 0xff); /* a byte that is in no UTF-8 text */
    hash = hash_bytes(hash, aggregate_id.data, aggregate_id.length);
    hash ^= hash >> 32;
    hash *= UINT64_C(0xd6e8feb86659fd93);
    return hash ^ hash >> 32;
}
