/* The field Retry-After (RFC 9110, 10.2.3). */
#ifndef RELAY_RETRY_AFTER_H
#define RELAY_RETRY_AFTER_H

#include <stdint.h>

/* Seconds from now that a Retry-After asks for, in either of its forms; -1 when it says nothing, or
 * a time that has passed. */
int64_t retry_after_parse(const char *value, int64_t now_s);

#endif
