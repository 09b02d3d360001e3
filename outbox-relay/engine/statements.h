/* Every SQL statement of the engine. The columns are read by position: the enums go with them. */
#ifndef RELAY_STATEMENTS_H
#define RELAY_STATEMENTS_H

#include "outbox-relay/postgres/pg.h"

/* Reading: one transaction with one snapshot for all readers. */
extern const struct pg_statement READ_BEGIN, READ_TUNE, READ_SNAPSHOT, READ_NEW, READ_LATE,
    READ_PARKED, READ_COMMIT, TAKE_MARK;

/* For the lag, while a reader has no room. */
extern const struct pg_statement NEWEST_ID, FIRST_UNREAD;

/* Writing: every unit begins with FENCE, or FENCE_PARKED about parked events, which fails with
 * FENCED_SQLSTATE when the epoch is not the current one. */
#define FENCED_SQLSTATE "OB001"
extern const struct pg_statement FENCE, FENCE_PARKED, WRITE_CURSOR, WRITE_MARK, PARK_REFUSED,
    PARK_BLOCKED, RETRY_LATER, RETRY_DONE, RETRY_DEAD, ADVANCE_KEY, DISABLE, WRITE_BREAKER,
    MAINTAIN, NEXT_RETRY;

/* Configuration. */
extern const struct pg_statement GUARD, FIND_SEQUENCE, ADOPT_MOVED, REBASE, LOAD_SUBSCRIPTIONS,
    LOAD_SECRETS, LOAD_PARKED_KEYS, LOAD_COUNTS;

enum subscription_column {
    SUBSCRIPTION_NAME,
    SUBSCRIPTION_URL,
    SUBSCRIPTION_EVENT_TYPES,
    SUBSCRIPTION_BATCH_SIZE,
    SUBSCRIPTION_MAX_IN_FLIGHT,
    SUBSCRIPTION_TIMEOUT_MS,
    SUBSCRIPTION_MAX_ATTEMPTS,
    SUBSCRIPTION_RETRY_BASE_MS,
    SUBSCRIPTION_RETRY_MAX_MS,
    SUBSCRIPTION_ON_DEAD,
    SUBSCRIPTION_STATE,
    SUBSCRIPTION_GENERATION,
    SUBSCRIPTION_POSITION,
    SUBSCRIPTION_SNAPSHOT,
    SUBSCRIPTION_FLOOR,
    SUBSCRIPTION_DEEP_FLOOR,
    SUBSCRIPTION_LATE_POSITION,
    SUBSCRIPTION_LATE_SNAPSHOT,
    SUBSCRIPTION_REPLAY_TO,
    SUBSCRIPTION_BREAKER,
    SUBSCRIPTION_SETTLED_AT,
};

/* Lease and wake-up, on the session's connection (or, polling, on the working one). */
extern const struct pg_statement TRY_LEASE_LOCK, PROVE_LEASE, ELECT, ELECT_POLLING, RENEW_POLLING,
    RESIGN, LISTEN_EVENTS, LISTEN_CONTROL, NOTIFY_SELF, TRY_SLEEP_LOCK, UNLOCK_SLEEP, HEARTBEAT;

/* NULL-ended lists for pg_settings.statements. */
extern const struct pg_statement *const WORK_STATEMENTS[];
extern const struct pg_statement *const SESSION_STATEMENTS[];
/* For pg_settings.prelude, when polling. */
extern const struct pg_statement *const POLLING_PRELUDE[];

#endif
