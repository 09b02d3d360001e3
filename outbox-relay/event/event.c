/* See event.h. */
#include "outbox-relay/event/event.h"

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
