/* Ids as this library's APIs have them in paths, queries and tokens: a positive int64. */
#ifndef SHARED_ID_H
#define SHARED_ID_H

#include "shared/base/cleanup.h"

#include <stddef.h>
#include <stdint.h>

/* Reads `length` characters: digits only, no leading zero, 1 to INT64_MAX. Returns 0 or -EINVAL. */
MUST_CHECK int id_parse(const char *text, size_t length, int64_t *ret_id);

#endif
