/* Base64 (RFC 4648), decoded strictly: no white space, no foreign characters, exact padding, and
 * zero in the bits that are left over, so that a value has one spelling only. */
#ifndef SHARED_BASE64_H
#define SHARED_BASE64_H

#include "shared/base/cleanup.h"

#include <stddef.h>

enum base64_alphabet {
    BASE64_STANDARD, /* + and /, padded with = */
    BASE64_URL,      /* - and _, no padding, as JOSE has it */
};

/* Room that the encoding of `length` bytes takes, with the NUL. */
#define BASE64_ENCODED_SIZE(length) (((length) + 2) / 3 * 4 + 1)

/* Decodes `length` characters into at most `size` bytes. Returns 0 and their number, -EINVAL when
 * malformed, -ENOSPC when there is no room. */
MUST_CHECK int base64_decode(enum base64_alphabet alphabet, const char *text, size_t length,
    void *bytes, size_t size, size_t *ret_length);

/* Writes the standard encoding and a NUL; `text` has BASE64_ENCODED_SIZE(length). */
void base64_encode(const void *bytes, size_t length, char *text);

/* The same in BASE64_URL. */
void base64url_encode(const void *bytes, size_t length, char *text);

#endif
