/* Random bytes of the kernel. */
#include "shared/base/random.h"

#include <stdlib.h>
#include <sys/random.h>

void random_bytes(void *bytes, size_t length)
{
    /* Up to this size it is never interrupted once the kernel's generator is seeded. */
    if (length > RANDOM_MAX_BYTES || getrandom(bytes, length, 0) != (ssize_t)length)
        abort();
}
