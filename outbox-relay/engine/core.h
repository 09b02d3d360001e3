/* The few functions that only touch the records. This file and records.h are under all parts of the
 * engine and use none of them. */
#ifndef RELAY_CORE_H
#define RELAY_CORE_H

#include "outbox-relay/engine/records.h"
#include "outbox-relay/engine/settings.h"
#include "outbox-relay/postgres/pg.h"

/* How long a failure that goes on is not told again. */
#define REMIND_US INT64_C(600000000)

/* Traces it. What it brings about is the source's own business. */
void source_set_state(struct source *source, enum source_state state);

/* Gives up the lease and begins anew, in the next turn. The first reason counts. */
void source_fail(struct source *source, const char *reason);
/* The same, by an error of the server; `sqlstate` is "" when that is not known. */
void source_fail_by(struct source *source, const char *sqlstate, const char *reason);
/* The same: a unit of statements has failed. */
void source_unit_failed(struct source *source, const char *sqlstate);
/* The three things that the failure of a unit can mean; every pg_commit() names one, or has a
 * callback of its own that does. With these, `context` is the source and there is nothing else to
 * be done. */
/* What is in memory rests on it: the source gives up the lease and begins anew. */
void source_unit_vital(void *context, const char *sqlstate);
/* It is tried again by whoever sent it: told in the log, at most once in ten minutes for each unit.
 * `unit` is a literal that names it for people. */
void source_unit_tell(struct source *source, const char *unit, const char *sqlstate);

/* All is well: should it fail again, it connects at once. */
void source_works(struct source *source);

/* The connection that stands for election: the session, or the only one when polling. */
struct pg *source_first_connection(const struct source *source);
/* Begins a unit of the working connection that only the active relay may write. */
void source_fence(struct source *source);
/* Something may have become possible: look at all lanes in the next turn. */
void source_wants_turn(struct source *source);
/* There may be new events: reads in the next turn. */
void source_wants_read(struct source *source);
/* The subscriptions have changed, or may have: they are loaded anew in the next turn. */
void source_wants_reload(struct source *source);
/* Whether requests may be started: active, and the lease is certainly still held. */
bool source_may_send(const struct source *source);
bool source_allows(const struct source *source, const char *url);
/* For jitter, not for secrets. */
uint64_t source_random(struct source *source);
/* Bytes of memory that each reader's subscriptions may hold. */
size_t source_buffer_share(const struct source *source);
/* Whether so many keys are held back that nothing more is to be read. */
bool subscription_is_full(const struct subscription *subscription);

#endif
