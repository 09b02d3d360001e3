/* Declared fields of a JSON object: type, bounds and where the value goes, in one table. */
#ifndef SHARED_FIELDS_H
#define SHARED_FIELDS_H

#include "shared/base/cleanup.h"
#include "shared/http/http.h"

enum field_type {
    FIELD_TEXT,   /* const char **, borrowed from the object; min, max in characters; valid UTF-8
                     without NUL */
    FIELD_INT,    /* int64_t *, within [min, max]; a JSON integer, not 1.0, not "1" */
    FIELD_MONEY,  /* int64_t * in cents, within [min, max]; a decimal string or a number */
    FIELD_ARRAY,  /* json_t **, borrowed; min, max items */
    FIELD_OBJECT, /* json_t **, borrowed */
    FIELD_INTS,   /* json_t **, borrowed: an array (min, max items) of positive int64 */
};

struct field {
    const char *name;
    enum field_type type;
    bool optional; /* absent or null: the target is left as it was */
    int64_t min, max;
    void *target;
};

struct field_error {
    char field[128];   /* "items[2].quantity" */
    char message[256]; /* "must be an integer from 1 to 1000000" */
};

/* Checks and extracts, without replying. Returns 0, or -EINVAL and what is wrong. */
MUST_CHECK int fields_read(const json_t *object, const char *prefix, const struct field *fields,
    size_t count, struct field_error *ret_error);

/* Checks and extracts for a request. Unknown members are ignored. Returns 0, or the status it has
 * replied with: 400 with a detail that names the field (`prefix` + name, such as
 * "items[2].quantity"), what is wrong and what is allowed, and member "field". `prefix` is "" at
 * the top. */
MUST_CHECK int fields_parse(struct http_request *request, const json_t *object, const char *prefix,
    const struct field *fields, size_t count);

/* The same for the request's body, one JSON object. `optional`: an empty body leaves the targets as
 * they were. */
MUST_CHECK int fields_body(
    struct http_request *request, bool optional, const struct field *fields, size_t count);

/* The same for ids given as text (query parameters): a positive int64, else 400 naming `name`. */
MUST_CHECK int field_parse_id(
    struct http_request *request, const char *name, const char *text, int64_t *ret_id);

#endif
