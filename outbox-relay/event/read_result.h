/* What one read brought: the rows stay in libpq's results, the events point into them. It is shared
 * by all subscriptions that take its events, and counted. */
#ifndef RELAY_READ_RESULT_H
#define RELAY_READ_RESULT_H

#include "outbox-relay/event/event.h"

#include <libpq-fe.h>
#include <stdbool.h>
#include <stddef.h>

/* Columns of READ_NEW, READ_LATE and READ_PARKED, in binary. */
enum event_column {
    EVENT_ID,
    EVENT_UUID,
    EVENT_AGGREGATE_TYPE,
    EVENT_AGGREGATE_ID,
    EVENT_TYPE,
    EVENT_CREATED_AT,
    EVENT_SIZE,
    EVENT_PAYLOAD,
    EVENT_TRACEPARENT, /* text, or null; as it stands in the headers */
    EVENT_TRACESTATE,
    EVENT_ATTEMPTS, /* READ_PARKED only */
    EVENT_COLUMNS
};

#define READ_RESULT_PARTS 2

struct read_result {
    int refs;
    PGresult *parts[READ_RESULT_PARTS];
    size_t bytes; /* of memory held */
    size_t count;
    int64_t payload_bytes; /* sum of the column size */
    struct event events[];
};

/* Takes one or two results (the second may be NULL) of READ_NEW, READ_LATE or READ_PARKED; the
 * events keep their order. The caller owns one reference. NULL: no memory, or a result that is no
 * such thing; the results are cleared. */
struct read_result *read_result_new(PGresult *take_first, PGresult *take_second);
struct read_result *read_result_ref(struct read_result *read);
void read_result_unref(struct read_result *read); /* accepts NULL */

/* The column size of a row of such a result. */
int32_t read_result_size(const PGresult *result, int row);

#endif
