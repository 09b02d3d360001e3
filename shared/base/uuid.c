/* UUIDs as text. */
#include "shared/base/uuid.h"
#include "shared/base/hex.h"
#include "shared/base/random.h"

bool uuid_is_valid(const char *text)
{
    static const char SHAPE[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
    if (!text)
        return false;
    for (int i = 0; i < UUID_LENGTH; i++) {
        if (SHAPE[i] == '-' ? text[i] != '-' : hex_digit(text[i]) < 0)
            return false;
    }
    return text[UUID_LENGTH] == '\0';
}

void uuid_write(const unsigned char uuid[16], char text[UUID_LENGTH])
{
    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *text++ = '-';
        text = hex_write(text, &uuid[i], 1);
    }
}

void uuid_write_random(char text[UUID_LENGTH])
{
    unsigned char uuid[16];
    random_bytes(uuid, sizeof(uuid));
    uuid[6] = (unsigned char)((uuid[6] & 0x0F) | 0x40);
    uuid[8] = (unsigned char)((uuid[8] & 0x3F) | 0x80);
    uuid_write(uuid, text);
}
