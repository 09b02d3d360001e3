/* UTF-8 validation by the table of well-formed byte sequences (Unicode 15, table 3-7). */
#include "shared/base/utf8.h"

#include <string.h>

static bool continues(unsigned char byte)
{
    return (byte & 0xC0) == 0x80;
}

size_t utf8_sequence(const char *text)
{
    const unsigned char *s = (const unsigned char *)text;
    if (s[0] < 0x80)
        return 1;
    if (s[0] < 0xC2 || s[0] > 0xF4)
        return 0;
    if (s[0] < 0xE0)
        return continues(s[1]) ? 2 : 0;

    /* The second byte is what keeps out overlong forms, surrogates and too large values. */
    unsigned char low = 0x80, high = 0xBF;
    if (s[0] == 0xE0)
        low = 0xA0;
    else if (s[0] == 0xED)
        high = 0x9F;
    else if (s[0] == 0xF0)
        low = 0x90;
    else if (s[0] == 0xF4)
        high = 0x8F;
    if (s[1] < low || s[1] > high || !continues(s[2]))
        return 0;
    if (s[0] < 0xF0)
        return 3;
    return continues(s[3]) ? 4 : 0;
}

bool utf8_valid(const char *text, size_t *ret_count)
{
    size_t count = 0;
    while (*text) {
        size_t length = utf8_sequence(text);
        if (length == 0)
            return false;
        text += length;
        count++;
    }
    if (ret_count)
        *ret_count = count;
    return true;
}

size_t utf8_cut(const char *text, size_t max)
{
    size_t length = strnlen(text, max), begin = max;
    if (length < max)
        return length;
    /* `begin` becomes that of the character which the cut might go through. */
    while (begin > 0 && max - begin < 3 && continues((unsigned char)text[begin]))
        begin--;
    return begin + utf8_sequence(text + begin) > max ? begin : max;
}
