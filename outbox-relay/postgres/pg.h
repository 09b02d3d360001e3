/* One asynchronous PostgreSQL connection in pipeline mode.
 *
 * Statements are queued into units; pg_commit() ends a unit, which the server runs as one
 * transaction. Results come back in order. Connecting (name resolution, TLS, login, setup), which
 * libpq can't do without blocking, happens in a short-lived thread of its own. */
#ifndef RELAY_PG_H
#define RELAY_PG_H

#include "outbox-relay/base/loop.h"
#include "outbox-relay/postgres/pg_statement.h"
#include "shared/base/cleanup.h"

#include <libpq-fe.h>

struct pg;

struct pg_settings {
    const char *conninfo;
    const char *application_name;
    const char *const *setup;                     /* NULL-ended SQL to run first */
    const struct pg_statement *const *statements; /* NULL-ended, to prepare first */
    bool unnamed; /* prepare nothing: for a transaction-pooling proxy */
    /* NULL-ended: what each unit begins with, unless its first statement begins a transaction.
     * Their results are dropped. NULL: nothing. */
    const struct pg_statement *const *prelude;
    void (*opened)(void *context);
    /* The connection failed or could not be made; it is closed after this. `sqlstate` is "" unless
     * the server has refused a statement of the setup: libpq tells none of a failed login.
     * `message` has no newline. */
    void (*lost)(void *context, const char *sqlstate, const char *message);
    /* May be NULL. */
    void (*notified)(void *context, const char *channel, const char *payload);
    /* A unit has failed: what the server said, before `on_done` is called. `message` has no
     * newline. */
    void (*refused)(void *context, const char *message);
    void *context;
};

/* Keeps a copy of `settings` but borrows what it points to. Not yet connected. NULL: no memory. */
struct pg *pg_new(struct loop *loop, const struct pg_settings *settings);
/* Closes at once; no callback follows. Accepts NULL. */
void pg_free(struct pg *pg);

/* Begins to connect; `opened` or `lost` will follow. Errors: -EBUSY (is not closed), -ENOMEM. */
MUST_CHECK int pg_open(struct pg *pg);
/* The same, to the server that an open connection has reached, however many the conninfo names. */
MUST_CHECK int pg_open_beside(struct pg *pg, const struct pg *other);
/* Closes without a callback; what is queued is dropped. */
void pg_close(struct pg *pg);
/* The server that was reached; "" while it is closed. `host` may be an address or a directory. */
const char *pg_host(const struct pg *pg);
const char *pg_port(const struct pg *pg);
const char *pg_server_version(const struct pg *pg);

/* Takes a result: it is the callback's to PQclear. NULL is given when the connection is closed
 * before an answer came (not on pg_free). */
typedef void pg_on_result(void *context, PGresult *take_result);

/* Queues a statement. `values` are copied: text, or NULL for null. With `on_result` NULL the result
 * is dropped. A failure to send shows as a lost connection. */
void pg_send(struct pg *pg, const struct pg_statement *statement, const char *const *values,
    pg_on_result *on_result, void *context);

/* Ends the unit and sends it. `on_done`, which says what a failure means, gets the SQLSTATE of the
 * unit's first error (08006 when the connection is closed before the answer; not on pg_free), or
 * NULL when it is committed. */
void pg_commit(struct pg *pg, void (*on_done)(void *context, const char *sqlstate), void *context)
    __attribute__((nonnull(2)));

/* When the oldest unit that has not been answered was sent (loop_now()); 0 when there is none. */
int64_t pg_pending_since(const struct pg *pg);

#endif
