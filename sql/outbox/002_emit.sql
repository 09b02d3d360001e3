-- The only way in.
--
-- Advisory locks used, all of them local to the database:
--   (1329747032, 1)  wake: exclusive while the relay sleeps, shared by every transaction that emits
--   (1329747032, 2)  lease: held by the active relay's session
--   (1329747032, 3)  maintenance: one outbox.maintain() at a time
--   a bigint         order: outbox.key_lock(type, id), by transactions that emit for that key
-- 1329747032 is the letters OBTX, a number that nobody else would choose. The two forms of
-- advisory locks never collide with each other.

create function outbox.key_lock(aggregate_type text, aggregate_id text) returns bigint
language sql immutable strict parallel safe
return hashtextextended(aggregate_id, hashtextextended(aggregate_type, 1329747032));
comment on function outbox.key_lock(text, text) is
    'The advisory lock that orders the emitters of one key.';

-- Version 7: the first 48 bits are the time in milliseconds (11 hexadecimal digits until the year
-- 2527), so that the index on it grows at one end; the rest is that of a random one.
create function outbox.new_event_id() returns uuid
language sql volatile parallel safe
return ('0' || to_hex((date_part('epoch', clock_timestamp()) * 1000)::bigint)
        || '7' || substr(gen_random_uuid()::text, 16))::uuid;
comment on function outbox.new_event_id() is 'A new UUID of version 7.';

create function outbox.event_size(payload jsonb, headers jsonb) returns integer
language sql immutable parallel safe
return octet_length(payload::text || headers::text);
comment on function outbox.event_size(jsonb, jsonb) is 'Bytes of both as JSON text.';

-- Whether emit() needs no closer look at its arguments: the few tests that nearly every call passes.
create function outbox.is_ordinary(
    aggregate_type text, aggregate_id text, event_type text, headers jsonb, size integer)
returns boolean
language sql immutable parallel safe
return octet_length(aggregate_type || aggregate_id || event_type) <= 200 and size <= 1024
   and '' <> all (array[aggregate_type, aggregate_id, event_type]) and headers @> '{}';
comment on function outbox.is_ordinary(text, text, text, jsonb, integer) is
    'Internal to outbox.emit(): true only for arguments that outbox.check_arguments() accepts.';

create function outbox.check_arguments(
    aggregate_type text, aggregate_id text, event_type text, payload jsonb, headers jsonb,
    lock_key boolean)
returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
    size constant integer := octet_length(payload::text);
begin
    if aggregate_type is null or aggregate_id is null or event_type is null or payload is null
       or headers is null or lock_key is null then
        raise exception 'outbox.emit: no argument may be null'
            using errcode = 'null_value_not_allowed';
    end if;
    if aggregate_type = '' or octet_length(aggregate_type) > 200
       or aggregate_id = '' or octet_length(aggregate_id) > 500
       or event_type = '' or octet_length(event_type) > 200 then
        raise exception 'outbox.emit: aggregate_type, aggregate_id and event_type must have 1 to '
                        '200, 500 and 200 bytes'
            using errcode = 'invalid_parameter_value';
    end if;
    if jsonb_typeof(headers) <> 'object' or octet_length(headers::text) > 8192 then
        raise exception 'outbox.emit: headers must be a JSON object of at most 8192 bytes'
            using errcode = 'invalid_parameter_value';
    end if;
    if size > (select s.max_payload from outbox.setting s) then
        raise exception 'outbox.emit: the payload has % bytes', size
            using errcode = 'program_limit_exceeded',
                  hint = 'The limit is outbox.setting.max_payload. Emit a reference to large data.';
    end if;
end
$$;
comment on function outbox.check_arguments(text, text, text, jsonb, jsonb, boolean) is
    'Internal to outbox.emit(): raises an error that names what is wrong.';

-- Raises an error before a transaction holds so many key locks that the shared lock table could
-- run out.
create function outbox.check_key_locks() returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    key_limit constant integer := 1000;
begin
    if (select count(*) from pg_locks
         where locktype = 'advisory' and objsubid = 1 and pid = pg_backend_pid()) > key_limit then
        raise exception 'this transaction has emitted events for more than % keys', key_limit
            using errcode = 'program_limit_exceeded',
                  hint = 'Each key takes an advisory lock until the end of the transaction. Commit in '
                         'smaller parts, or lock the aggregates'' own rows before and call '
                         'outbox.emit(..., lock_key => false), which leaves the order of one key''s '
                         'events to those row locks.';
    end if;
end
$$;
comment on function outbox.check_key_locks() is
    'Internal to outbox.emit(): bounds the advisory locks of a transaction.';

-- Looking at the locks is slow, so only a few calls do. A prime, so that no writer who takes turns
-- with others is left out for ever.
create function outbox.is_lock_check_due(id bigint) returns boolean
language sql immutable parallel safe
return id % 499 = 0;
comment on function outbox.is_lock_check_due(bigint) is
    'Internal to outbox.emit(): which events'' emitters call outbox.check_key_locks().';

-- In the hot path of every transaction, so it does with few calls what has to be done, and has no
-- SET search_path, which costs more than the insert. It is safe without: it has no operator, every
-- name in it is qualified, and the functions above with a RETURN were bound when they were made.
-- Three conditions below are never true; they stand in one expression with the fourth because
-- PL/pgSQL takes a snapshot for each.
create function outbox.emit(
    aggregate_type text, aggregate_id text, event_type text, payload jsonb,
    headers jsonb default '{}', lock_key boolean default true)
returns uuid
language plpgsql volatile security definer
as $$
#variable_conflict use_variable
declare
    size constant integer := outbox.event_size(payload, headers);
    new_position bigint;
    new_id pg_catalog.uuid;
begin
    if lock_key is null
       or outbox.is_ordinary(aggregate_type, aggregate_id, event_type, headers, size) is not true then
        perform outbox.check_arguments(
            aggregate_type, aggregate_id, event_type, payload, headers, lock_key);
    end if;

    if pg_catalog.pg_current_xact_id() is null -- first of all, so that the transaction's id is
                                               -- older than the event's id (see the cursor)
       or (lock_key and pg_catalog.pg_advisory_xact_lock(
               outbox.key_lock(aggregate_type, aggregate_id)) is null)
       -- Got it: the relay is awake and can't fall asleep before this transaction ends. Refused: it
       -- sleeps, so wake it when this transaction commits.
       or not pg_catalog.pg_try_advisory_xact_lock_shared(1329747032, 1) then
        perform pg_catalog.pg_notify('outbox', '');
    end if;

    insert into outbox.event (txid, event_id, aggregate_type, aggregate_id, event_type, created_at,
                              size, payload, headers)
    values (pg_catalog.pg_current_xact_id(), outbox.new_event_id(), aggregate_type, aggregate_id,
            event_type, pg_catalog.clock_timestamp(), size, payload, headers)
    returning id, event_id into new_position, new_id;

    if lock_key and outbox.is_lock_check_due(new_position) then
        perform outbox.check_key_locks();
    end if;
    return new_id;
end
$$;
comment on function outbox.emit(text, text, text, jsonb, jsonb, boolean) is
    'Emits an event in the caller''s transaction; returns its event_id. lock_key => false is for bulk: the caller keeps the order of a key''s events by row locks of its own.';
