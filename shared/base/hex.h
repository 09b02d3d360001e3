/* Hexadecimal digits. */
#ifndef SHARED_HEX_H
#define SHARED_HEX_H

#include <stddef.h>

/* The value of a digit of either case, from 0 to 15; -1 for any other character. */
static inline int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* Writes two lower-case digits for each byte, without NUL. Returns where they end. */
static inline char *hex_write(char *to, const void *bytes, size_t length)
{
    static const char DIGITS[] = "0123456789abcdef";
    const unsigned char *byte = bytes;
    for (size_t i = 0; i < length; i++) {
        *to++ = DIGITS[byte[i] >> 4];
        *to++ = DIGITS[byte[i] & 15];
    }
    return to;
}

#endif
