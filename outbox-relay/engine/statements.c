/* Every SQL statement of the engine; see statements.h. */
#include "outbox-relay/engine/statements.h"
#include "outbox-relay/base/locks.h"
#include "outbox-relay/postgres/pg_session.h"

/* In the order of enum event_column in read_result.h. */
#define EVENT_COLUMN_LIST \
    "id, event_id, aggregate_type, aggregate_id, event_type, created_at, size, payload," \
    " headers->>'traceparent', headers->>'tracestate'"

/* Reading ----------------------------------------------------------------------------------------
 */

const struct pg_statement READ_BEGIN = {
    .name = "read_begin",
    .sql = "begin transaction isolation level repeatable read, read only",
    .begins = true,
};

/* Where the session can't be set up once: see lease.c. */
const struct pg_statement READ_TUNE = {.name = "", .sql = PG_FIX_TRANSACTION};
static const struct pg_statement FIX_ISOLATION = {.name = "", .sql = PG_FIX_ISOLATION};
static const struct pg_statement FIX_READ_WRITE = {.name = "", .sql = PG_FIX_READ_WRITE};

/* Whatever lets a sequence begin anew gives it another file, but for setval(). */
#define SEQUENCE_FILE "pg_relation_filenode('outbox.event_id_seq')"
#define LAST_ID "case when is_called then last_value else last_value - 1 end"

const struct pg_statement READ_SNAPSHOT = {
    .name = "read_snapshot",
    .sql = "select pg_current_snapshot()::text, " LAST_ID ", " SEQUENCE_FILE
           ", (extract(epoch from clock_timestamp()) * 1000000)::bigint"
           "  from outbox.event_id_seq",
};

const struct pg_statement NEWEST_ID = {
    .name = "newest_id", .sql = "select " LAST_ID " from outbox.event_id_seq"};

/* $1 subscription, $2 position: both are given back, with the time of the first event behind. */
const struct pg_statement FIRST_UNREAD = {
    .name = "first_unread",
    .sql = "select $1::text, $2::bigint, (extract(epoch from created_at) * 1000000)::bigint"
           "  from outbox.event where id > $2::bigint order by id limit 1",
    .param_count = 2,
};

/* $1 position, $2 rows, $3 bytes: at least one row, and no more once the bytes are reached. */
const struct pg_statement READ_NEW = {
    .name = "read_new",
    .sql = "select " EVENT_COLUMN_LIST
           "  from (select *, sum(size) over (order by id rows unbounded preceding) as running"
           "          from outbox.event"
           "         where id > $1"
           "         order by id"
           "         limit $2) e"
           " where running - size < $3"
           " order by id",
    .param_count = 3,
    .binary = true,
};

/* What was invisible when the cursor passed it; not what a dump has brought, with a transaction id
 * that this server has yet to reach. $1 position, $2 snapshot, $3 floor, $4 deep floor,
 * $5 the snapshot's running transactions, $6 late position, $7 late snapshot or null, $8 rows, $9
 * bytes. */
const struct pg_statement READ_LATE = {
    .name = "read_late",
    .sql = "select " EVENT_COLUMN_LIST
           "  from (select *, sum(size) over (order by id rows unbounded preceding) as running"
           "          from (select * from outbox.event"
           "                 where id > greatest($3::bigint, $6::bigint) and id <= $1"
           "                   and not pg_visible_in_snapshot(txid, $2::pg_snapshot)"
           "                   and txid < pg_snapshot_xmax(pg_current_snapshot())"
           "                union all"
           "                select * from outbox.event"
           "                 where txid = any($5::xid8[])"
           "                   and id > greatest($4::bigint, $6::bigint) and id <= $3) l"
           "         where $7::pg_snapshot is null or pg_visible_in_snapshot(txid, $7::pg_snapshot)"
           "         order by id"
           "         limit $8) e"
           " where running - size < $9"
           " order by id",
    .param_count = 9,
    .binary = true,
};

const struct pg_statement READ_COMMIT = {.name = "read_commit", .sql = "commit"};

/* $1 subscription, $2 rows. A parked event that is due, the longest overdue first. */
const struct pg_statement READ_PARKED = {
    .name = "read_parked",
    .sql =
        "select " EVENT_COLUMN_LIST ", attempts"
        "  from (select *, sum(size) over (order by next_attempt_at, id rows unbounded preceding)"
        "               as running"
        "          from (select *, octet_length(payload::text) as size from outbox.delivery"
        "                 where subscription = $1 and status = 'retrying'"
        "                   and next_attempt_at <= now()"
        "                 order by next_attempt_at, id"
        "                 limit $2) d) e"
        " where running - size < $3"
        " order by next_attempt_at, id",
    .param_count = 3,
    .binary = true,
};

/* $1 position. An own transaction, ended before the read's snapshot is taken. Gives a mark. */
const struct pg_statement TAKE_MARK = {
    .name = "take_mark", .sql = "select pg_current_xact_id()::text, $1::bigint", .param_count = 1};

/* Writing ----------------------------------------------------------------------------------------
 */

const struct pg_statement FENCE = {
    .name = "fence", .sql = "select outbox.fence($1)", .param_count = 1};

/* $1 epoch, $2 subscription. */
const struct pg_statement FENCE_PARKED = {
    .name = "fence_parked", .sql = "select outbox.fence($1, $2)", .param_count = 2};

/* $1 name, $2 generation, $3 epoch, $4 position, $5 snapshot, $6 floor, $7 deep floor, $8 late
 * position, $9 late snapshot, $10 when the newer snapshot was taken, in us. */
const struct pg_statement WRITE_CURSOR = {
    .name = "write_cursor",
    .sql = "update outbox.subscription"
           "   set position = $4, snapshot = $5, floor = $6, deep_floor = $7,"
           "       late_position = $8, late_snapshot = $9, epoch = $3, replay_to = null,"
           "       settled_at = timestamptz 'epoch' + $10::bigint * interval '1 microsecond'"
           " where name = $1 and generation = $2",
    .param_count = 10,
};

/* $1 position. Gives a mark, and keeps it for new subscriptions and the next relay. */
const struct pg_statement WRITE_MARK = {
    .name = "write_mark",
    .sql = "update outbox.lease set mark_xid = pg_current_xact_id(), mark_position = $1"
           " returning mark_xid::text, mark_position",
    .param_count = 1,
};

/* $1 subscription, $2 id, $3 attempts, $4 wait in ms (null: dead), $5 HTTP status, $6 error. */
const struct pg_statement PARK_REFUSED = {
    .name = "park_refused",
    .sql = "insert into outbox.delivery (subscription, id, event_id, aggregate_type, aggregate_id,"
           "       event_type, created_at, payload, headers, status, attempts, next_attempt_at,"
           "       last_attempt_at, last_status, last_error)"
           " select $1, id, event_id, aggregate_type, aggregate_id, event_type, created_at,"
           "       payload, headers, case when $4::bigint is null then 'dead' else 'retrying' end,"
           "       $3, now() + $4::bigint * interval '1 ms', now(), $5, $6"
           "  from outbox.event where id = $2"
           " on conflict (subscription, id) do update"
           " set status = excluded.status, attempts = excluded.attempts,"
           "     next_attempt_at = excluded.next_attempt_at,"
           "     last_attempt_at = excluded.last_attempt_at, last_status = excluded.last_status,"
           "     last_error = excluded.last_error",
    .param_count = 6,
};

/* $1 subscription, $2 ids. Whatever held the key may have gone meanwhile: then its first event is
 * due at once. Gives how many were not there yet, and how many of them are due. */
const struct pg_statement PARK_BLOCKED = {
    .name = "park_blocked",
    .sql =
        "with parked as ("
        " insert into outbox.delivery (subscription, id, event_id, aggregate_type, aggregate_id,"
        "       event_type, created_at, payload, headers, status, next_attempt_at)"
        " select $1, id, event_id, aggregate_type, aggregate_id, event_type, created_at, payload,"
        "       headers, case when is_first then 'retrying' else 'blocked' end,"
        "       case when is_first then now() end"
        "  from (select *, not exists ("
        "                select from outbox.delivery d"
        "                  join outbox.subscription s on s.name = d.subscription"
        "                 where d.subscription = $1 and d.aggregate_type = e.aggregate_type"
        "                   and d.aggregate_id = e.aggregate_id"
        "                   and (d.status <> 'dead' or s.on_dead = 'block' and d.id < e.id))"
        "            and row_number() over ("
        "                partition by aggregate_type, aggregate_id order by id) = 1 as is_first"
        "          from outbox.event e where id = any($2::bigint[])) e"
        " on conflict (subscription, id) do nothing"
        " returning status)"
        " select count(*), count(*) filter (where status = 'retrying') from parked",
    .param_count = 2,
};

/* $1 subscription, $2 id, $3 attempts, $4 wait in ms, $5 HTTP status, $6 error. */
const struct pg_statement RETRY_LATER = {
    .name = "retry_later",
    .sql = "update outbox.delivery"
           "   set attempts = $3, next_attempt_at = now() + $4::bigint * interval '1 ms',"
           "       last_attempt_at = now(), last_status = $5, last_error = $6"
           " where subscription = $1 and id = $2 and status = 'retrying'",
    .param_count = 6,
};

/* $1 subscription, $2 id. */
const struct pg_statement RETRY_DONE = {
    .name = "retry_done",
    .sql = "delete from outbox.delivery where subscription = $1 and id = $2",
    .param_count = 2,
};

/* $1 subscription, $2 id, $3 attempts, $4 HTTP status, $5 error. */
const struct pg_statement RETRY_DEAD = {
    .name = "retry_dead",
    .sql = "update outbox.delivery"
           "   set status = 'dead', attempts = $3, next_attempt_at = null,"
           "       last_attempt_at = now(), last_status = $4, last_error = $5"
           " where subscription = $1 and id = $2",
    .param_count = 5,
};

/* $1 subscription, $2 and $3 the key. */
const struct pg_statement ADVANCE_KEY = {
    .name = "advance_key",
    .sql = "select outbox.advance_key($1, $2, $3)",
    .param_count = 3,
};

/* $1 subscription, $2 reason. */
const struct pg_statement DISABLE = {
    .name = "",
    .sql = "update outbox.subscription"
           "   set state = 'disabled', state_reason = $2, last_error = $2, last_error_at = now()"
           " where name = $1 and state = 'active'",
    .param_count = 2,
};

/* $1 subscription, $2 open or closed, $3 error or null. */
const struct pg_statement WRITE_BREAKER = {
    .name = "",
    .sql = "update outbox.subscription"
           "   set breaker = $2, last_error = coalesce($3, last_error),"
           "       last_error_at = case when $3 is null then last_error_at else now() end"
           " where name = $1",
    .param_count = 3,
};

/* $1 the newest id when it was called last: nothing is done while that is still the newest. Gives
 * the new one, or -1 when it could not have a lock and has to be called again. */
const struct pg_statement MAINTAIN = {
    .name = "",
    .sql = "select case when done like '%gave way' then -1 else last_value end"
           "  from (select last_value, outbox.maintain() as done"
           "          from outbox.event_id_seq where last_value <> $1 offset 0) m",
    .param_count = 1,
};

/* $1 subscription. Milliseconds until the next parked event is due. */
const struct pg_statement NEXT_RETRY = {
    .name = "next_retry",
    .sql = "select ceil(extract(epoch from min(next_attempt_at) - now()) * 1000)::bigint"
           "  from outbox.delivery where subscription = $1 and status = 'retrying'",
    .param_count = 1,
};

/* Configuration ----------------------------------------------------------------------------------
 */

const struct pg_statement GUARD = {
    .name = "", .sql = "select code, stops, problem, command from outbox.guard()"};
const struct pg_statement FIND_SEQUENCE = {.name = "", .sql = "select " SEQUENCE_FILE};
const struct pg_statement ADOPT_MOVED = {.name = "", .sql = "select outbox.adopt('moved')"};

const struct pg_statement REBASE = {.name = "", .sql = "select outbox.rebase()"};

const struct pg_statement LOAD_SUBSCRIPTIONS = {
    .name = "",
    .sql = "select name, url, array_to_string(event_types, E'\\n'), batch_size, max_in_flight,"
           "       timeout_ms, max_attempts, retry_base_ms, retry_max_ms, on_dead, state,"
           "       generation, position, snapshot, floor, deep_floor, late_position, late_snapshot,"
           "       replay_to, breaker, (extract(epoch from settled_at) * 1000000)::bigint"
           "  from outbox.subscription order by name",
};

const struct pg_statement LOAD_SECRETS = {
    .name = "",
    .sql = "select subscription, value,"
           "       ceil(extract(epoch from valid_until - now()) * 1000)::bigint"
           "  from outbox.secret"
           " where valid_until is null or valid_until > now()"
           " order by subscription, id desc",
};

/* Keys whose later events have to wait. */
const struct pg_statement LOAD_PARKED_KEYS = {
    .name = "",
    .sql = "select d.subscription, d.aggregate_type, d.aggregate_id, count(*)"
           "  from outbox.delivery d join outbox.subscription s on s.name = d.subscription"
           " where d.status <> 'dead' or s.on_dead = 'block'"
           " group by 1, 2, 3",
};

const struct pg_statement LOAD_COUNTS = {
    .name = "",
    .sql = "select subscription, status, count(*) from outbox.delivery group by 1, 2",
};

/* Lease and wake-up ------------------------------------------------------------------------------
 */

const struct pg_statement TRY_LEASE_LOCK = {
    .name = "try_lease_lock",
    .sql = "select pg_try_advisory_lock(" LEASE_LOCK "), pg_backend_pid()",
};

/* $1 process of the server that holds the lock, $2 epoch, $3 holder: whether that is so here. */
const struct pg_statement PROVE_LEASE = {
    .name = "",
    .sql = "select exists (select from pg_locks"
           "                where locktype = 'advisory' and granted and pid = $1::int"
           "                  and (classid, objid) = (" LEASE_LOCK ") and objsubid = 2"
           "                  and database = (select oid from pg_database"
           "                                   where datname = current_database()))"
           "   and exists (select from outbox.lease where epoch = $2 and holder = $3)",
    .param_count = 3,
};

/* The last mark, unless it is of another numbering (see outbox.rebase()), and the newest id. */
#define MARK_AND_LAST_ID \
    "case when mark_xid < pg_current_xact_id() then mark_xid end, mark_position," \
    " (select case when is_called then last_value else 0 end from outbox.event_id_seq)"

/* $1 holder. No row while a relay that polls holds the lease. */
const struct pg_statement ELECT = {
    .name = "elect",
    .sql = "update outbox.lease"
           "   set epoch = epoch + 1, holder = $1, acquired_at = now(), valid_until = null"
           " where valid_until is null or valid_until < now()"
           " returning epoch, " MARK_AND_LAST_ID,
    .param_count = 1,
};

/* $1 holder, $2 time to live in ms. No row while another holds the lease in either way. */
const struct pg_statement ELECT_POLLING = {
    .name = "",
    .sql = "update outbox.lease"
           "   set epoch = epoch + 1, holder = $1, acquired_at = now(),"
           "       valid_until = now() + $2::bigint * interval '1 ms'"
           " where (valid_until is null or valid_until < now())"
           "   and pg_try_advisory_xact_lock(" LEASE_LOCK ")"
           " returning epoch, " MARK_AND_LAST_ID,
    .param_count = 2,
};

/* $1 epoch, $2 time to live in ms. */
const struct pg_statement RENEW_POLLING = {
    .name = "",
    .sql = "update outbox.lease set valid_until = now() + $2::bigint * interval '1 ms'"
           " where epoch = $1 returning 1",
    .param_count = 2,
};

/* $1 epoch. So that a standby need not wait for the end of the lease. */
const struct pg_statement RESIGN = {
    .name = "",
    .sql = "update outbox.lease set valid_until = null, holder = null where epoch = $1",
    .param_count = 1,
};

const struct pg_statement LISTEN_EVENTS = {.name = "", .sql = "listen outbox"};
const struct pg_statement LISTEN_CONTROL = {.name = "", .sql = "listen outbox_control"};
/* $1 holder. */
const struct pg_statement NOTIFY_SELF = {
    .name = "", .sql = "select pg_notify('outbox_control', $1)", .param_count = 1};
const struct pg_statement TRY_SLEEP_LOCK = {
    .name = "try_sleep_lock", .sql = "select pg_try_advisory_lock(" WAKE_LOCK ")"};
const struct pg_statement UNLOCK_SLEEP = {
    .name = "unlock_sleep", .sql = "select pg_advisory_unlock(" WAKE_LOCK ")"};
const struct pg_statement HEARTBEAT = {.name = "heartbeat", .sql = "select 1"};

const struct pg_statement *const WORK_STATEMENTS[] = {&READ_BEGIN, &READ_SNAPSHOT, &READ_NEW,
    &READ_LATE, &READ_PARKED, &READ_COMMIT, &TAKE_MARK, &NEWEST_ID, &FIRST_UNREAD, &FENCE,
    &FENCE_PARKED, &WRITE_CURSOR, &WRITE_MARK, &PARK_REFUSED, &PARK_BLOCKED, &RETRY_LATER,
    &RETRY_DONE, &RETRY_DEAD, &ADVANCE_KEY, &NEXT_RETRY, NULL};
const struct pg_statement *const SESSION_STATEMENTS[] = {
    &TRY_LEASE_LOCK, &ELECT, &TRY_SLEEP_LOCK, &UNLOCK_SLEEP, &HEARTBEAT, NULL};
const struct pg_statement *const POLLING_PRELUDE[] = {
    &FIX_ISOLATION, &FIX_READ_WRITE, &READ_TUNE, NULL};
