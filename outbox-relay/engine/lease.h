/* The lease: which relay is the active one of a source, and for how long that is certain. In listen
 * mode a session of its own holds the lease's lock, listens and beats; in poll mode the lease is a
 * row with an end that is put off again and again. See docs/mechanisms/lease.md. */
#ifndef RELAY_LEASE_H
#define RELAY_LEASE_H

#include "outbox-relay/engine/core.h"
#include "shared/base/cleanup.h"

/* Makes the connections of the mode; nothing is opened. Errors: -ENOMEM. */
MUST_CHECK int lease_init(struct source *source);
void lease_release(struct source *source);

/* Opens what is needed to stand for election. */
void lease_open(struct source *source);
/* Opens the working connection, once elected, where the lease is held, and proves that it is. */
void lease_open_work(struct source *source);
/* Closes all, which ends a lease. */
void lease_close(struct source *source);
/* Holds it, once elected: begins with the signs of life. */
void lease_hold(struct source *source);
/* Gives the lease back on a graceful stop, so that a standby need not wait; then calls `done`. */
void lease_resign(struct source *source, void (*done)(void *context, const char *sqlstate));

#endif
