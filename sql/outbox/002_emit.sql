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

-- Version 7: the first 48 bits are the time, so that the index on it grows at one end.
create function outbox.new_event_id() returns uuid
language sql volatile parallel safe
return encode(
    set_bit(set_bit(
        overlay(uuid_send(gen_random_uuid())
                placing substring(int8send((date_part('epoch', clock_timestamp()) * 1000)::bigint) from 3)
                from 1 for 6),
        52, 1), 53, 1), 'hex')::uuid;
comment on function outbox.new_event_id() is 'A new UUID of version 7.';

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

create function outbox.emit(
    aggregate_type text, aggregate_id text, event_type text, payload jsonb,
    headers jsonb default '{}', lock_key boolean default true)
returns uuid
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
declare
    -- First of all, so that the transaction's id is older than the event's id (see the cursor).
    own_txid constant xid8 := pg_current_xact_id();
    new_id constant uuid := outbox.new_event_id();
    payload_size constant integer := octet_length(payload::text);
    headers_size constant integer := octet_length(headers::text);
    key constant bigint := outbox.key_lock(aggregate_type, aggregate_id);
    new_position bigint;
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
    if jsonb_typeof(headers) <> 'object' or headers_size > 8192 then
        raise exception 'outbox.emit: headers must be a JSON object of at most 8192 bytes'
            using errcode = 'invalid_parameter_value';
    end if;
    if payload_size > 1024 then -- nested, as the query inside makes the condition a slow one
        if payload_size > (select s.max_payload from outbox.setting s) then
            raise exception 'outbox.emit: the payload has % bytes', payload_size
                using errcode = 'program_limit_exceeded',
                      hint = 'The limit is outbox.setting.max_payload. Emit a reference to large data.';
        end if;
    end if;

    -- Got it: the relay is awake and can't fall asleep before this transaction ends. Refused: it
    -- sleeps, so wake it when this transaction commits.
    if not pg_try_advisory_xact_lock_shared(1329747032, 1) then
        perform pg_notify('outbox', '');
    end if;

    if lock_key then
        if not pg_try_advisory_xact_lock(key) then -- tried first: cheaper than a PERFORM
            perform pg_advisory_xact_lock(key);
        end if;
    end if;

    insert into outbox.event (txid, event_id, aggregate_type, aggregate_id, event_type, created_at,
                              size, payload, headers)
    values (own_txid, new_id, aggregate_type, aggregate_id, event_type, clock_timestamp(),
            payload_size + headers_size, payload, headers)
    returning id into new_position;

    -- Looking at the locks is slow, so only a few calls do: those that draw such an id. Of a
    -- transaction with many events it hits several.
    if lock_key and new_position % 500 = 0 then
        perform outbox.check_key_locks();
    end if;
    return new_id;
end
$$;
comment on function outbox.emit(text, text, text, jsonb, jsonb, boolean) is
    'Emits an event in the caller''s transaction; returns its event_id. lock_key => false is for bulk: the caller keeps the order of a key''s events by row locks of its own.';
