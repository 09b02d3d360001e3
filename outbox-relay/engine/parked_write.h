/* What the writes to outbox.delivery have in common. Every unit is fenced by the epoch and excludes
 * the operators' commands. */
#ifndef RELAY_PARKED_WRITE_H
#define RELAY_PARKED_WRITE_H

#include "outbox-relay/engine/core.h"
#include "shared/base/cleanup.h"

/* An event on its way into, or out of, outbox.delivery. */
struct parked_write {
    struct subscription *subscription;
    struct item *item;
    uint64_t key;
    bool holds;     /* the key is held back from now on */
    bool was_there; /* the row that was to be changed */
    bool advanced;  /* the next event of the key is due */
};

/* Counts as one of the subscription's writes until parked_write_done(), after which it is the
 * caller's to free. Aborts when out of memory. */
struct parked_write *parked_write_new(struct subscription *subscription, struct item *item);
/* The common end; false when it failed, which ends the leadership. */
MUST_CHECK bool parked_write_done(struct parked_write *write, const char *sqlstate);

/* Begins a unit about parked events. */
void parked_write_fence(struct subscription *subscription);

/* Logs that an event has become dead. */
void parked_log_dead(const struct subscription *subscription, const struct event *event,
    int attempts, const char *error);

#endif
