-- The tables of the transactional outbox. See docs/outbox.md, and docs/mechanisms/ for the why.
-- Needs PostgreSQL 14 or newer and no superuser: the owner of the database installs it.

create schema if not exists outbox;
comment on schema outbox is
    'Transactional outbox: events are emitted with outbox.emit() and delivered over HTTP by outbox-relay.';

-- One row of settings --------------------------------------------------------------------------

create table outbox.setting (
    only_row         boolean primary key default true check (only_row),
    partition_size   bigint not null default 1000000 check (partition_size >= 1000),
    partitions_ahead integer not null default 2 check (partitions_ahead between 1 and 100),
    retention        interval not null default '7 days' check (retention >= '0'),
    max_payload      integer not null default 1048576 check (max_payload between 1024 and 1048576)
);
insert into outbox.setting default values;

comment on table outbox.setting is 'Settings of this outbox; exactly one row.';
comment on column outbox.setting.only_row is 'Keeps the table at one row.';
comment on column outbox.setting.partition_size is
    'Ids in one partition of outbox.event; counts for partitions still to be created.';
comment on column outbox.setting.partitions_ahead is 'How many empty partitions outbox.maintain() keeps ahead.';
comment on column outbox.setting.retention is
    'How long a full partition is kept after every subscription has passed it.';
comment on column outbox.setting.max_payload is
    'Largest payload as JSON text, in bytes; bounds the memory of the relay.';

-- Events -----------------------------------------------------------------------------------------

-- txid comes first on purpose: the cursor rests on the transaction id being assigned before the
-- id is drawn, and on the sequence keeping CACHE 1.
create table outbox.event (
    txid           xid8 not null,
    id             bigint generated always as identity (cache 1),
    event_id       uuid not null,
    aggregate_type text not null,
    aggregate_id   text not null,
    event_type     text not null,
    created_at     timestamptz not null,
    size           integer not null,
    payload        jsonb not null,
    headers        jsonb not null,
    primary key (id)
) partition by range (id);
create index event_txid on outbox.event (txid);
-- People look events up by event_id, which grows with time: this costs emitters next to nothing.
create index event_event_id on outbox.event using brin (event_id)
    with (pages_per_range = 32, autosummarize = on);
create table outbox.event_default partition of outbox.event default;

comment on table outbox.event is
    'Events, append-only: written by outbox.emit() alone, never updated, dropped by whole partitions.';
comment on column outbox.event.txid is
    'Transaction that emitted the event; with the cursor''s snapshot it tells what was visible to a read.';
comment on column outbox.event.id is
    'Position in the stream, drawn before commit: a smaller id may become visible later.';
comment on column outbox.event.event_id is 'Identity for consumers (UUID, version 7); constant over retries.';
comment on column outbox.event.aggregate_type is 'Kind of thing the event is about, such as order.';
comment on column outbox.event.aggregate_id is
    'Which one; type and id together are the key that keeps its order.';
comment on column outbox.event.event_type is 'What happened, such as order.created.';
comment on column outbox.event.created_at is 'When it was emitted (wall clock at the call).';
comment on column outbox.event.size is 'Bytes of the payload and the headers as JSON text.';
comment on column outbox.event.payload is 'The event''s data.';
comment on column outbox.event.headers is 'Context such as traceparent, tracestate and requestid.';
comment on table outbox.event_default is
    'Takes what no partition covers, so that an insert never fails; empty while outbox.maintain() runs.';

create table outbox.partition (
    name        name primary key,
    lower_id    bigint not null,
    upper_id    bigint not null check (upper_id > lower_id),
    sealed_xid  xid8,
    sealed_at   timestamptz
);
comment on table outbox.partition is 'Partitions of outbox.event, kept by outbox.maintain().';
comment on column outbox.partition.name is 'The partition''s table name in schema outbox.';
comment on column outbox.partition.lower_id is 'First id it takes.';
comment on column outbox.partition.upper_id is 'First id it does not take.';
comment on column outbox.partition.sealed_xid is
    'Every transaction that drew an id of this partition has a smaller id than this.';
comment on column outbox.partition.sealed_at is
    'When the sequence was first seen past the partition; the retention counts from here.';

-- Subscriptions ----------------------------------------------------------------------------------

create table outbox.subscription (
    name            text primary key check (name ~ '^[a-z0-9][a-z0-9._-]{0,62}$'),
    url             text not null check (url ~ '^https?://[^[:space:]]+$' and length(url) <= 2048),
    event_types     text[] not null default '{*}'
                    check (cardinality(event_types) between 1 and 1000
                           and array_position(event_types, null) is null),
    batch_size      integer not null default 1 check (batch_size between 1 and 1000),
    max_in_flight   integer not null default 8 check (max_in_flight between 1 and 256),
    timeout_ms      integer not null default 10000 check (timeout_ms between 10 and 600000),
    max_attempts    integer not null default 12 check (max_attempts between 1 and 1000),
    retry_base_ms   integer not null default 1000 check (retry_base_ms between 1 and 86400000),
    retry_max_ms    integer not null default 600000 check (retry_max_ms between 1 and 604800000),
    on_dead         text not null default 'skip' check (on_dead in ('skip', 'block')),
    state           text not null default 'active' check (state in ('active', 'paused', 'disabled')),
    state_reason    text,
    created_at      timestamptz not null default now(),

    position        bigint not null,
    snapshot        pg_snapshot not null,
    floor           bigint not null default 0,
    deep_floor      bigint not null default 0,
    late_position   bigint,
    late_snapshot   pg_snapshot,
    start_position  bigint not null,
    replay_to       bigint,
    generation      bigint not null default (extract(epoch from clock_timestamp()) * 1000000)::bigint,
    epoch           bigint not null default 0,

    breaker         text not null default 'closed' check (breaker in ('closed', 'open')),
    last_error      text,
    last_error_at   timestamptz,
    check (deep_floor <= floor and floor <= position),
    check ((late_position is null) = (late_snapshot is null))
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);

comment on table outbox.subscription is
    'Who receives which events, how, and how far. Written through outbox.subscribe() and the like.';
comment on column outbox.subscription.name is 'Name, unique in this database.';
comment on column outbox.subscription.url is 'Callback that events are POSTed to.';
comment on column outbox.subscription.event_types is 'Exact types, prefixes such as order.*, or * for all.';
comment on column outbox.subscription.batch_size is
    'Most events in one request; 1 sends single CloudEvents, more sends CloudEvents batches.';
comment on column outbox.subscription.max_in_flight is 'Lanes: requests under way at the same time.';
comment on column outbox.subscription.timeout_ms is 'How long one request may take.';
comment on column outbox.subscription.max_attempts is 'Attempts of a refused event before it is dead.';
comment on column outbox.subscription.retry_base_ms is 'Wait before the first retry; doubles with each.';
comment on column outbox.subscription.retry_max_ms is 'Longest wait between two retries.';
comment on column outbox.subscription.on_dead is
    'What becomes of a key whose event is dead: skip goes on with the next, block holds the key.';
comment on column outbox.subscription.state is
    'active, paused (by an operator) or disabled (the receiver answered 410 Gone).';
comment on column outbox.subscription.state_reason is 'Why it is paused or disabled.';
comment on column outbox.subscription.created_at is 'When it was made.';
comment on column outbox.subscription.position is
    'Cursor: every event with id <= position that is visible in snapshot is settled.';
comment on column outbox.subscription.snapshot is 'Cursor: the snapshot that belongs to position.';
comment on column outbox.subscription.floor is
    'Cursor: an event with id <= floor that is invisible in snapshot comes from a transaction in its xip list.';
comment on column outbox.subscription.deep_floor is
    'Cursor: no event with id <= deep_floor can be invisible in snapshot.';
comment on column outbox.subscription.late_position is
    'Cursor, while many late events are caught up: those with id <= late_position that are visible in late_snapshot are settled too.';
comment on column outbox.subscription.late_snapshot is 'Cursor: the snapshot that belongs to late_position.';
comment on column outbox.subscription.start_position is 'Events up to here were there before the subscription.';
comment on column outbox.subscription.replay_to is
    'Asked for by outbox.replay() and not yet seen by the relay: back to this position.';
comment on column outbox.subscription.generation is
    'Raised when someone else than the relay moves the cursor, so that the relay''s next write misses and it loads anew. Begins with the time, as a name that is removed and made again is another subscription.';
comment on column outbox.subscription.epoch is 'Epoch of the relay that wrote the cursor last.';
comment on column outbox.subscription.breaker is 'open while the endpoint is down and only probed.';
comment on column outbox.subscription.last_error is 'Last failure of the endpoint as a whole.';
comment on column outbox.subscription.last_error_at is 'When that was.';

create table outbox.secret (
    id           bigint generated always as identity primary key,
    subscription text not null references outbox.subscription (name) on delete cascade on update cascade,
    value        text not null check (value ~ '^(whsec_[A-Za-z0-9+/]{32,88}={0,2}|file:/.+|env:[A-Za-z_][A-Za-z0-9_]*)$'),
    created_at   timestamptz not null default now(),
    valid_until  timestamptz
);
create index secret_subscription on outbox.secret (subscription);
comment on table outbox.secret is
    'Signing secrets; every valid one signs each request, so that receivers can change over. For the relay''s eyes only.';
comment on column outbox.secret.id is 'Identity.';
comment on column outbox.secret.subscription is 'Whose secret it is.';
comment on column outbox.secret.value is
    'whsec_<base64 of 24 to 64 bytes>, or where the relay finds it: file:/path or env:NAME.';
comment on column outbox.secret.created_at is 'When it was added.';
comment on column outbox.secret.valid_until is 'When it stops to sign; null while it has no end.';

-- Exceptions -------------------------------------------------------------------------------------

create table outbox.delivery (
    subscription    text not null references outbox.subscription (name) on delete cascade on update cascade,
    id              bigint not null,
    event_id        uuid not null,
    aggregate_type  text not null,
    aggregate_id    text not null,
    event_type      text not null,
    created_at      timestamptz not null,
    payload         jsonb not null,
    headers         jsonb not null,
    status          text not null check (status in ('retrying', 'blocked', 'dead')),
    attempts        integer not null default 0,
    next_attempt_at timestamptz,
    last_attempt_at timestamptz,
    last_status     integer,
    last_error      text,
    parked_at       timestamptz not null default now(),
    primary key (subscription, id),
    check ((status = 'retrying') = (next_attempt_at is not null))
);
create index delivery_due on outbox.delivery (subscription, next_attempt_at) where status = 'retrying';
create index delivery_key on outbox.delivery (subscription, aggregate_type, aggregate_id, id);
create index delivery_event_id on outbox.delivery (event_id);

comment on table outbox.delivery is
    'Exceptions only: events that were refused, that wait behind a refused one of their key, or that are dead.';
comment on column outbox.delivery.subscription is 'Whose delivery it is.';
comment on column outbox.delivery.id is 'outbox.event.id';
comment on column outbox.delivery.event_id is 'Copied from the event, as are the next six: partitions can go.';
comment on column outbox.delivery.aggregate_type is 'Copied from the event.';
comment on column outbox.delivery.aggregate_id is 'Copied from the event.';
comment on column outbox.delivery.event_type is 'Copied from the event.';
comment on column outbox.delivery.created_at is 'Copied from the event.';
comment on column outbox.delivery.payload is 'Copied from the event.';
comment on column outbox.delivery.headers is 'Copied from the event.';
comment on column outbox.delivery.status is
    'retrying (first of its key), blocked (waits behind it), dead (given up; see outbox.redrive and outbox.skip).';
comment on column outbox.delivery.attempts is 'Attempts that the receiver refused.';
comment on column outbox.delivery.next_attempt_at is 'When it is tried again, while retrying.';
comment on column outbox.delivery.last_attempt_at is 'When it was tried last.';
comment on column outbox.delivery.last_status is 'HTTP status of the last attempt; 0 when there was no answer.';
comment on column outbox.delivery.last_error is 'What the receiver said, cut to 500 characters.';
comment on column outbox.delivery.parked_at is 'When it left the normal way.';

-- The lease --------------------------------------------------------------------------------------

create table outbox.lease (
    only_row      boolean primary key default true check (only_row),
    epoch         bigint not null default 0,
    holder        text,
    acquired_at   timestamptz,
    valid_until   timestamptz,
    mark_xid      xid8,
    mark_position bigint
) with (fillfactor = 10, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);
insert into outbox.lease default values;

comment on table outbox.lease is 'Which relay is the active one; exactly one row.';
comment on column outbox.lease.only_row is 'Keeps the table at one row.';
comment on column outbox.lease.epoch is
    'Raised by each election; every write of the relay locks this row and fails when its epoch is another.';
comment on column outbox.lease.holder is 'Host, process and moment that identify the active relay.';
comment on column outbox.lease.acquired_at is 'When it was elected.';
comment on column outbox.lease.valid_until is
    'Poll mode only: until when the lease holds unless renewed; null where a session lock is the lease.';
comment on column outbox.lease.mark_xid is
    'A transaction id of the relay: every later transaction draws ids above mark_position.';
comment on column outbox.lease.mark_position is 'See mark_xid.';
