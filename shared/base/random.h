/* Random bytes of the kernel, for identifiers and jitter; secrets are made by OpenSSL's generator.
 */
#ifndef SHARED_RANDOM_H
#define SHARED_RANDOM_H

#include <stddef.h>

#define RANDOM_MAX_BYTES 256

/* Fills at most RANDOM_MAX_BYTES. Never fails. */
void random_bytes(void *bytes, size_t length);

#endif
