/* What a receiver says about single events of a batch: {"failed":[{"id","error","permanent"}]}. */
#ifndef RELAY_FAILED_LIST_H
#define RELAY_FAILED_LIST_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct failed_event {
    unsigned char uuid[16];
    const char *error; /* borrowed from `json` */
    bool permanent;
};

struct failed_list {
    struct failed_event *entries;
    size_t count;
    json_t *json;
};

enum failed_list_outcome {
    FAILED_LIST_NONE, /* the answer says nothing of single events */
    FAILED_LIST_READ,
    FAILED_LIST_UNREADABLE, /* it seems to have a list, in whole or in part */
};

/* Looks for the list in the body of an answer, which is NUL-terminated; `cut`: the body goes on.
 * `ret_list` is set when the outcome is FAILED_LIST_READ, and released by the caller. */
enum failed_list_outcome failed_list_parse(
    const char *body, size_t length, bool cut, struct failed_list *ret_list);
void failed_list_release(struct failed_list *list);

/* The entry of an event, or NULL. */
const struct failed_event *failed_list_find(
    const struct failed_list *list, const unsigned char uuid[16]);

#endif
