/* See traceparent.h. */
#include "shared/base/traceparent.h"

#include <string.h>

static bool is_lower_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

static bool is_hex(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (!is_lower_hex(text[i]))
            return false;
    return true;
}

/* Hexadecimal, and not all zero. */
static bool is_id(const char *text, size_t length)
{
    size_t zeros = 0;
    while (zeros < length && text[zeros] == '0')
        zeros++;
    return zeros < length && is_hex(text, length);
}

/* Graphic characters of ASCII alone, which need no escape anywhere but for quotes and backslashes.
 */
static bool is_graphic(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (text[i] < 0x21 || text[i] > 0x7e)
            return false;
    return true;
}

bool traceparent_valid(const char *text, size_t length)
{
    if (length < TRACEPARENT_LENGTH || !is_hex(text, 2) || memcmp(text, "ff", 2) == 0)
        return false;
    /* A later version may have more parts. */
    if (length > TRACEPARENT_LENGTH &&
        (memcmp(text, "00", 2) == 0 || text[TRACEPARENT_LENGTH] != '-' ||
            !is_graphic(text + TRACEPARENT_LENGTH, length - TRACEPARENT_LENGTH)))
        return false;
    return text[TRACEPARENT_TRACE_ID - 1] == '-' && is_id(text + TRACEPARENT_TRACE_ID, 32) &&
           text[TRACEPARENT_SPAN_ID - 1] == '-' && is_id(text + TRACEPARENT_SPAN_ID, 16) &&
           text[TRACEPARENT_FLAGS - 1] == '-' && is_hex(text + TRACEPARENT_FLAGS, 2);
}

bool tracestate_valid(const char *text, size_t length)
{
    if (length == 0 || !((*text >= 'a' && *text <= 'z') || (*text >= '0' && *text <= '9')))
        return false;
    for (size_t i = 0; i < length; i++)
        if (text[i] < 0x20 || text[i] > 0x7e)
            return false;
    return memchr(text, '=', length) != NULL;
}
