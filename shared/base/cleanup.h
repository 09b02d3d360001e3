/* Scope-bound release of memory (gcc and clang's cleanup attribute), and attributes that make an
 * ignored error a compile error. AUTO_JSON is in json.h, AUTO_RESULT in shared/db/result.h. */
#ifndef SHARED_CLEANUP_H
#define SHARED_CLEANUP_H

#include <stdlib.h>

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(text, first) __attribute__((format(printf, text, first)))

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

static inline void cleanup_free(void *pointer)
{
    free(*(void **)pointer);
}

#define AUTO_FREE __attribute__((cleanup(cleanup_free)))

#endif
