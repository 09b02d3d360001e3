/* Scope-bound release of resources (gcc and clang's cleanup attribute), and attributes that make
 * an ignored error a compile error. Destructors accept NULL. */
#ifndef SHARED_CLEANUP_H
#define SHARED_CLEANUP_H

#include <jansson.h>
#include <libpq-fe.h>
#include <stdlib.h>

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(text, first) __attribute__((format(printf, text, first)))

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

static inline void cleanup_free(void *pointer)
{
    free(*(void **)pointer);
}

static inline void cleanup_json(json_t **value)
{
    json_decref(*value);
}

static inline void cleanup_result(PGresult **result)
{
    PQclear(*result);
}

#define AUTO_FREE __attribute__((cleanup(cleanup_free)))
#define AUTO_JSON __attribute__((cleanup(cleanup_json)))
#define AUTO_RESULT __attribute__((cleanup(cleanup_result)))

#endif
