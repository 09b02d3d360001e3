/* Connects to PostgreSQL in a thread of its own and hands the connection to the loop. */
#ifndef RELAY_PG_CONNECT_H
#define RELAY_PG_CONNECT_H

#include "outbox-relay/base/loop.h"
#include "outbox-relay/postgres/pg_statement.h"
#include "shared/base/cleanup.h"

#include <libpq-fe.h>

struct pg_connecting;

/* One server, as libpq has reached it. */
struct pg_server {
    const char *host, *hostaddr, *port; /* hostaddr: "" for a Unix socket */
};

/* What makes a connection; see struct pg_settings. Copied, but for the statements, which must be
 * there as long as the program: the thread may outlive its owner. */
struct pg_login {
    const char *conninfo;
    const char *application_name;
    const char *const *setup;
    const struct pg_statement *const *statements; /* to prepare; NULL: none */
    const struct pg_server *server; /* the only one to connect to; NULL: as the conninfo says */
};

/* `done` is called once in the loop's thread, with a connection that has been set up, or with an
 * error (borrowed for the call), its SQLSTATE or "", and a connection that may be NULL; it takes
 * the connection. Errors: -ENOMEM, -EAGAIN (no thread). */
MUST_CHECK int pg_connecting_start(struct loop *loop, const struct pg_login *login,
    void (*done)(void *context, PGconn *take_connection, const char *sqlstate, const char *error),
    void *context, struct pg_connecting **ret_connecting);

/* `done` will not be called; the thread cleans up behind itself. */
void pg_connecting_abandon(struct pg_connecting *job);

#endif
