/* What a receiver says about single events of a batch: {"failed":[{"id","error","permanent"}]}. */
#ifndef RELAY_PARTIAL_H
#define RELAY_PARTIAL_H

#include "outbox-relay/retry.h"

#include <jansson.h>

struct partial_entry {
    unsigned char uuid[16];
    const char *error; /* borrowed from `json` */
    bool permanent;
};

struct partial {
    struct partial_entry *entries;
    size_t count;
    json_t *json;
};

/* Looks for the list in an answer that was judged `verdict` (delivered or refused). Returns
 * VERDICT_DELIVERED with the list when there is one; VERDICT_REFUSED when the answer seems to have
 * one that can't be read, so that nothing is taken for delivered by mistake; else `verdict`. */
enum verdict partial_parse(
    const struct response *response, struct partial *ret_partial, enum verdict verdict);
void partial_release(struct partial *partial);

/* The entry of an event, or NULL. */
const struct partial_entry *partial_find(
    const struct partial *partial, const unsigned char uuid[16]);

#endif
