/* What a username may look like. */
#include "services/auth/username.h"

#include "shared/base/cleanup.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct range {
    uint32_t first, last;
};

/* Controls, and characters that can't be seen or that turn the text around: with them two names
 * would look the same. Spaces other than U+0020 are among them. */
static const struct range REFUSED[] = {
    {0x0000, 0x001f},
    {0x007f, 0x00a0},
    {0x00ad, 0x00ad},
    {0x034f, 0x034f},
    {0x061c, 0x061c},
    {0x115f, 0x1160},
    {0x1680, 0x1680},
    {0x17b4, 0x17b5},
    {0x180b, 0x180f},
    {0x2000, 0x200f},
    {0x2028, 0x202f},
    {0x205f, 0x206f},
    {0x3000, 0x3000},
    {0x3164, 0x3164},
    {0xe000, 0xf8ff},
    {0xfe00, 0xfe0f},
    {0xfeff, 0xfeff},
    {0xffa0, 0xffa0},
    {0xfff0, 0xfffb},
    {0xe0000, 0x10ffff},
};

/* The next character of valid UTF-8; moves *text on. */
static uint32_t next_character(const char **text)
{
    const unsigned char *p = (const unsigned char *)*text;
    int more = p[0] < 0x80 ? 0 : p[0] < 0xe0 ? 1 : p[0] < 0xf0 ? 2 : 3;
    uint32_t character = more == 0 ? p[0] : p[0] & (0x3fu >> more);
    for (int i = 1; i <= more; i++)
        character = character << 6 | (p[i] & 0x3fu);
    *text += 1 + more;
    return character;
}

static bool is_refused(uint32_t character)
{
    for (size_t i = 0; i < ARRAY_SIZE(REFUSED); i++) {
        if (character >= REFUSED[i].first && character <= REFUSED[i].last)
            return true;
    }
    return false;
}

const char *username_objection(const char *username)
{
    size_t length = strlen(username);
    if (length > USERNAME_MAX_BYTES)
        return "must have at most 256 bytes";
    if (length == 0 || username[0] == ' ' || username[length - 1] == ' ')
        return "must not be empty, begin or end with a space";
    for (const char *p = username; *p;) {
        if (is_refused(next_character(&p)))
            return "must not contain control or invisible characters";
    }
    return NULL;
}
