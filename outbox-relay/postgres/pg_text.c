/* See pg_text.h. */
#include "outbox-relay/postgres/pg_text.h"
#include "shared/base/utf8.h"

#include <inttypes.h>
#include <stdio.h>

const char *number_text(int64_t value, char text[NUMBER_SIZE])
{
    snprintf(text, NUMBER_SIZE, "%" PRId64, value);
    return text;
}

void error_text(const char *error, char text[ERROR_MAX + 1])
{
    size_t end = utf8_cut(error, ERROR_MAX), length;
    for (size_t i = 0; i < end; i++)
        text[i] = (unsigned char)error[i] < 0x20 ? ' ' : error[i];
    text[end] = '\0';
    for (char *c = text; *c; c += length ? length : 1) {
        length = utf8_sequence(c);
        if (length == 0)
            *c = '?';
    }
}
