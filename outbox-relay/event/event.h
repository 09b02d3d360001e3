/* An event as the relay holds it. */
#ifndef RELAY_EVENT_H
#define RELAY_EVENT_H

#include <stdint.h>

/* A text value inside a result of libpq; NUL-terminated there. */
struct text {
    const char *data;
    uint32_t length;
};

struct event {
    int64_t id;
    int64_t created_us; /* Unix time */
    uint64_t key;       /* hash of aggregate type and id */
    unsigned char uuid[16];
    struct text aggregate_type, aggregate_id, type, payload;
    struct text traceparent, tracestate; /* of any form; empty: none */
    int attempts;                        /* of a parked event, else 0 */
};

/* The hash by which lanes and parked keys go. */
uint64_t event_key(struct text aggregate_type, struct text aggregate_id);

#endif
