/* Which implementation of outbox.emit() a database has: the PL/pgSQL function of sql/outbox, or the
 * library of native/. Owner, grants and comment stay as they are. */
#ifndef RELAY_EMIT_FUNCTION_H
#define RELAY_EMIT_FUNCTION_H

#include "outbox-relay/cli/cli.h"

#include <libpq-fe.h>

/* `library` is a path on the database's host without its suffix, or with it; NULL: where PostgreSQL
 * looks for libraries. Needs a superuser. Both return a cli_exit after telling what was done, or
 * why not. */
int emit_make_native(
    const struct cli_arguments *arguments, PGconn *connection, const char *library);

/* Needs the owner of the function or a superuser. */
int emit_make_plpgsql(const struct cli_arguments *arguments, PGconn *connection);

#endif
