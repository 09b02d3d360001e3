/* Strict base64. */
#include "shared/base/base64.h"

#include <errno.h>
#include <stdint.h>

static const char STANDARD[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char URL[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static int value_of(enum base64_alphabet alphabet, char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == (alphabet == BASE64_URL ? '-' : '+'))
        return 62;
    if (c == (alphabet == BASE64_URL ? '_' : '/'))
        return 63;
    return -1;
}

/* The number of characters that carry data, or -EINVAL when the padding is not as it has to be. */
static int unpadded_length(
    enum base64_alphabet alphabet, const char *text, size_t length, size_t *ret_length)
{
    size_t padding = 0;
    while (padding < 2 && padding < length && text[length - 1 - padding] == '=')
        padding++;
    if (alphabet == BASE64_URL ? padding > 0 : length % 4 != 0)
        return -EINVAL;
    if ((length - padding) % 4 == 1)
        return -EINVAL;
    *ret_length = length - padding;
    return 0;
}

int base64_decode(enum base64_alphabet alphabet, const char *text, size_t length, void *bytes,
    size_t size, size_t *ret_length)
{
    size_t characters = 0;
    if (unpadded_length(alphabet, text, length, &characters) < 0)
        return -EINVAL;
    if (characters / 4 * 3 + characters % 4 * 3 / 4 > size)
        return -ENOSPC;
    unsigned char *out = bytes;
    size_t written = 0;
    uint32_t bits = 0;
    unsigned int bit_count = 0;
    for (size_t i = 0; i < characters; i++) {
        int value = value_of(alphabet, text[i]);
        if (value < 0)
            return -EINVAL;
        bits = bits << 6 | (uint32_t)value;
        bit_count += 6;
        if (bit_count >= 8) {
            bit_count -= 8;
            out[written++] = (unsigned char)(bits >> bit_count);
            bits &= (UINT32_C(1) << bit_count) - 1;
        }
    }
    if (bits != 0)
        return -EINVAL;
    *ret_length = written;
    return 0;
}

static char *encode(const char *digits, const unsigned char *in, size_t length, char *text)
{
    for (size_t i = 0; i < length; i += 3) {
        uint32_t bits = (uint32_t)in[i] << 16;
        if (i + 1 < length)
            bits |= (uint32_t)in[i + 1] << 8;
        if (i + 2 < length)
            bits |= in[i + 2];
        *text++ = digits[bits >> 18];
        *text++ = digits[bits >> 12 & 63];
        if (i + 1 < length)
            *text++ = digits[bits >> 6 & 63];
        if (i + 2 < length)
            *text++ = digits[bits & 63];
    }
    return text;
}

void base64_encode(const void *bytes, size_t length, char *text)
{
    char *end = encode(STANDARD, bytes, length, text);
    while ((end - text) % 4 != 0)
        *end++ = '=';
    *end = '\0';
}

void base64url_encode(const void *bytes, size_t length, char *text)
{
    *encode(URL, bytes, length, text) = '\0';
}
