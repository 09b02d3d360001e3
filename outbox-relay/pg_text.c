/* See pg_text.h. */
#include "outbox-relay/pg_text.h"
#include "shared/utf8.h"

#include <inttypes.h>
#include <stdio.h>

const char *number_text(int64_t value, char text[NUMBER_SIZE])
{
    snprintf(text, NUMBER_SIZE, "%" PRId64, value);
    return text;
}

void error_text(const char *error, char text[ERROR_MAX + 1])
{
    size_t length = 0;
    for (; length < ERROR_MAX && error[length]; length++)
        text[length] = (unsigned char)error[length] < 0x20 ? ' ' : error[length];
    if (error[length])
        while (length > 0 && ((unsigned char)error[length] & 0xc0) == 0x80)
            length--;
    text[length] = '\0';
    if (!utf8_valid(text, NULL))
        for (char *c = text; *c; c++)
            if ((unsigned char)*c >= 0x80)
                *c = '?';
}
