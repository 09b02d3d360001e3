/* The lease: which relay is the active one of a source, and for how long that is certain. In listen
 * mode a session of its own holds the lease's lock, listens and beats; in poll mode the lease is a
 * row with an end that is put off again and again. See docs/mechanisms/lease.md. */
#ifndef RELAY_SESSION_H
#define RELAY_SESSION_H

#include "outbox-relay/source.h"
#include "shared/base/cleanup.h"

/* Makes the connections of the mode; nothing is opened. Errors: -ENOMEM. */
MUST_CHECK int session_init(struct source *source);
void session_release(struct source *source);

/* Opens what is needed to stand for election. */
void session_open(struct source *source);
/* Closes all, which ends a lease. */
void session_close(struct source *source);
/* To be called when elected: begins with the signs of life. */
void session_elected(struct source *source);
/* Gives the lease back on a graceful stop, so that a standby need not wait; then calls `done`. */
void session_resign(struct source *source, void (*done)(void *context, const char *sqlstate));

#endif
