/* A JSON value of jansson's that is released with its scope. */
#ifndef SHARED_JSON_H
#define SHARED_JSON_H

#include <jansson.h>

static inline void cleanup_json(json_t **value)
{
    json_decref(*value);
}

#define AUTO_JSON __attribute__((cleanup(cleanup_json)))

#endif
