/* After a failure: says why, and connects anew after a while. */
#ifndef RELAY_RECONNECT_H
#define RELAY_RECONNECT_H

#include "outbox-relay/engine/core.h"

void reconnect_init(struct source *source);
void reconnect_stop(struct source *source);

/* Logs the failure, once and from time to time again while nothing else is wrong, and connects
 * after a wait that grows with each failure in a row. */
void reconnect_later(struct source *source);
/* It worked: the same failure is told when it comes again. */
void reconnect_forget(struct source *source);

/* What an operator may do about an error of the server; NULL: nothing but wait. */
const char *reconnect_hint(const char *sqlstate);

#endif
