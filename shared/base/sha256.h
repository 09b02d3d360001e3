/* SHA-256, by OpenSSL. */
#ifndef SHARED_SHA256_H
#define SHARED_SHA256_H

#include "shared/base/cleanup.h"

#include <stddef.h>

#define SHA256_SIZE 32

/* Returns 0 or -EIO. `bytes` may be NULL when there are none. */
MUST_CHECK int sha256(const void *bytes, size_t length, unsigned char ret_digest[SHA256_SIZE]);

#endif
