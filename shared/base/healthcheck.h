/* A program asks its own running instance whether it is ready: for health checks in images that
 * have no HTTP client. */
#ifndef SHARED_HEALTHCHECK_H
#define SHARED_HEALTHCHECK_H

#include "shared/base/cleanup.h"

#include <stdint.h>

/* GET http://address:port/readyz, 2 seconds at most. `address` as given to listen on; 0.0.0.0 and
 * :: become loopback. Returns 0 when the answer is 200; else 1, and one line on stderr says what
 * came instead. */
MUST_CHECK int healthcheck(const char *program, const char *address, uint16_t port);

#endif
