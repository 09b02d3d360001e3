-- What people and the command line do: subscribe, pause, replay, redrive and the like. Each change
-- is told to the relay by a trigger, so plain SQL on these tables works as well.

-- Tells the relay what has changed. A relay that only polls looks from time to time.
create function outbox.tell_relay() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    perform pg_notify('outbox_control', '');
    return null;
end
$$;
comment on function outbox.tell_relay() is 'Trigger: wakes the relay to look at the subscriptions.';

create trigger tell_relay
after insert or delete or truncate or update of name, url, event_types, batch_size, max_in_flight,
    timeout_ms, max_attempts, retry_base_ms, retry_max_ms, on_dead, state, generation
on outbox.subscription for each statement execute function outbox.tell_relay();
create trigger tell_relay
after insert or update or delete or truncate on outbox.secret
for each statement execute function outbox.tell_relay();

create function outbox.matches(event_types text[], event_type text) returns boolean
language sql immutable strict parallel safe
return exists (
    select from unnest(event_types) t
     where t = event_type or t = '*'
        or (t like '%.*' and starts_with(event_type, left(t, -1))));
comment on function outbox.matches(text[], text) is
    'Whether a subscription''s event_types take an event type: exact, prefix.* or *.';

-- The row lock makes the commands and the relay's writes about parked events come one after the
-- other: who decides whether a key is held sees all of its events.
create function outbox.lock_subscription(name text) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    perform from outbox.subscription s where s.name = lock_subscription.name for no key update;
    if not found then
        raise exception 'there is no subscription "%"', name using errcode = 'no_data_found';
    end if;
end
$$;
comment on function outbox.lock_subscription(text) is
    'Internal: locks the subscription''s row; an error when it does not exist.';

create function outbox.is_type_pattern(text) returns boolean
language sql immutable strict parallel safe
return $1 ~ '^(\*|[^*]+(\.\*)?)$' and $1 !~ '^\s|\s$|[[:cntrl:]]';
comment on function outbox.is_type_pattern(text) is
    'Whether it may stand in a subscription''s event_types: an event type, a prefix such as order.*, or *.';

create function outbox.subscribe(
    name text, url text default null, event_types text[] default null, batch_size integer default null,
    max_in_flight integer default null, timeout_ms integer default null,
    max_attempts integer default null, retry_base_ms integer default null,
    retry_max_ms integer default null, on_dead text default null, secret text default null,
    from_beginning boolean default false, out created boolean, out new_secret text)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    its_url constant text := coalesce(subscribe.url, (
        select s.url from outbox.subscription s where s.name = subscribe.name));
    wrong_type constant text := (
        select t from unnest(subscribe.event_types) t where not outbox.is_type_pattern(t) limit 1);
begin
    if its_url is null then
        raise exception 'subscription "%" does not exist yet: it needs a url', name
            using errcode = 'null_value_not_allowed';
    end if;
    if wrong_type is not null then
        raise exception '"%" is not an event type, a prefix that ends in ".*", or "*"', wrong_type
            using errcode = 'invalid_parameter_value';
    end if;
    -- The position and the snapshot are of one statement. The floor is the last mark of the relay:
    -- it has committed, so the snapshot's xip lists whatever older transaction is still open.
    insert into outbox.subscription as s
           (name, url, event_types, batch_size, max_in_flight, timeout_ms, max_attempts,
            retry_base_ms, retry_max_ms, on_dead, position, snapshot, floor, start_position)
    select subscribe.name, its_url, coalesce(subscribe.event_types, '{*}'),
           coalesce(subscribe.batch_size, 1), coalesce(subscribe.max_in_flight, 8),
           coalesce(subscribe.timeout_ms, 10000), coalesce(subscribe.max_attempts, 12),
           coalesce(subscribe.retry_base_ms, 1000), coalesce(subscribe.retry_max_ms, 600000),
           coalesce(subscribe.on_dead, 'skip'), p.position, pg_current_snapshot(),
           case when l.mark_xid < pg_snapshot_xmax(pg_current_snapshot())
                then least(l.mark_position, p.position) else 0 end,
           p.position
      from outbox.lease l,
           (select case when from_beginning then 0
                        else coalesce((select max(id) from outbox.event), 0) end as position) p
        on conflict (name) do update
       set url = excluded.url,
           event_types = coalesce(subscribe.event_types, s.event_types),
           batch_size = coalesce(subscribe.batch_size, s.batch_size),
           max_in_flight = coalesce(subscribe.max_in_flight, s.max_in_flight),
           timeout_ms = coalesce(subscribe.timeout_ms, s.timeout_ms),
           max_attempts = coalesce(subscribe.max_attempts, s.max_attempts),
           retry_base_ms = coalesce(subscribe.retry_base_ms, s.retry_base_ms),
           retry_max_ms = coalesce(subscribe.retry_max_ms, s.retry_max_ms),
           on_dead = coalesce(subscribe.on_dead, s.on_dead)
    returning xmax = 0 into created;

    if secret is not null then
        perform outbox.rotate_secret(name, secret)
          where not exists (select from outbox.secret k
                             where k.subscription = subscribe.name and k.value = subscribe.secret
                               and (k.valid_until is null or k.valid_until > now()));
    elsif not exists (select from outbox.secret k where k.subscription = subscribe.name) then
        new_secret := outbox.rotate_secret(name);
    end if;
    if not created then
        perform outbox.advance_keys(name); -- with on_dead => skip, dead events hold no key any more
    end if;
end
$$;
comment on function outbox.subscribe(text, text, text[], integer, integer, integer, integer, integer, integer, text, text, boolean) is
    'Makes a subscription (created is true) or changes it (false): an existing one keeps its cursor, and whatever is null. New ones start with the next event, or from_beginning. Without a secret one is made and returned as new_secret, which nobody but the relay can read later.';

create function outbox.unsubscribe(name text) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    perform outbox.lock_subscription(name);
    delete from outbox.subscription s where s.name = unsubscribe.name;
end
$$;
comment on function outbox.unsubscribe(text) is
    'Removes a subscription with its cursor, secrets and parked events.';

-- Secrets ----------------------------------------------------------------------------------------

create function outbox.rotate_secret(
    name text, value text default null, overlap interval default '1 day')
returns text
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    -- 32 bytes, 244 bits of them random.
    secret constant text := coalesce(value, 'whsec_' || encode(
        uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()), 'base64'));
begin
    perform outbox.lock_subscription(name);
    if overlap < '0' then
        raise exception 'rotate_secret: overlap must not be negative'
            using errcode = 'invalid_parameter_value';
    end if;
    -- At most two are valid at a time: of those there are, the newest lives on for the overlap.
    update outbox.secret k
       set valid_until = case
               when k.id = (select max(n.id) from outbox.secret n
                             where n.subscription = rotate_secret.name
                               and (n.valid_until is null or n.valid_until > now()))
               then least(k.valid_until, now() + overlap)
               else now() end
     where k.subscription = rotate_secret.name and (k.valid_until is null or k.valid_until > now());
    delete from outbox.secret k
     where k.subscription = rotate_secret.name and k.valid_until < now() - interval '30 days';
    insert into outbox.secret (subscription, value) values (name, secret);
    return secret;
end
$$;
comment on function outbox.rotate_secret(text, text, interval) is
    'Adds a signing secret (a new random one by default) and returns it; the one before stays valid for the overlap.';

-- State ------------------------------------------------------------------------------------------

create function outbox.pause(name text, reason text default null) returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    perform outbox.lock_subscription(name);
    update outbox.subscription s set state = 'paused', state_reason = reason
     where s.name = pause.name and s.state <> 'disabled';
    return found;
end
$$;
comment on function outbox.pause(text, text) is
    'Stops sending to a subscription; its cursor stays, nothing is lost. False when it is disabled, and stays so.';

create function outbox.resume(name text) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    perform outbox.lock_subscription(name);
    update outbox.subscription s set state = 'active', state_reason = null where s.name = resume.name;
end
$$;
comment on function outbox.resume(text) is 'Goes on with a paused or disabled subscription.';

-- Cursor -----------------------------------------------------------------------------------------

-- The position is set back to `target`: everything above it is delivered once more, whatever its
-- transaction. At or below it the snapshot still tells what is settled, and a smaller floor only
-- makes the relay look further back for late ones.
create function outbox.set_back(name text, target bigint) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    update outbox.subscription s
       set position = least(s.position, target),
           -- The stored position may be some way behind the relay's: tell it where to go back to.
           replay_to = least(s.replay_to, target),
           floor = least(s.floor, target),
           deep_floor = least(s.deep_floor, target),
           late_position = null,
           late_snapshot = null,
           start_position = least(s.start_position, target),
           generation = s.generation + 1
     where s.name = set_back.name;
    -- What was given up gets its next chance by being delivered again. Where a dead event holds
    -- its key it stays, for redrive or skip.
    delete from outbox.delivery d
     using outbox.subscription s
     where s.name = set_back.name and s.on_dead = 'skip'
       and d.subscription = s.name and d.status = 'dead' and d.id > target
       and exists (select from outbox.event e where e.id = d.id);
end
$$;
comment on function outbox.set_back(text, bigint) is 'Internal to outbox.replay().';

create function outbox.replay(name text, from_id bigint) returns bigint
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    perform outbox.lock_subscription(name);
    if from_id is null or from_id < 1 then
        raise exception 'replay: from_id must be 1 or more' using errcode = 'invalid_parameter_value';
    end if;
    perform outbox.set_back(name, from_id - 1);
    return from_id;
end
$$;
comment on function outbox.replay(text, bigint) is
    'Delivers again every retained event with this id or a larger one; returns the id.';

create function outbox.replay(name text, from_time timestamptz) returns bigint
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    first_id bigint;
begin
    perform outbox.lock_subscription(name);
    if from_time is null then
        raise exception 'replay: from_time must not be null' using errcode = 'invalid_parameter_value';
    end if;
    select min(e.id) into first_id from outbox.event e where e.created_at >= from_time;
    if first_id is not null then
        perform outbox.set_back(name, first_id - 1);
    end if;
    return first_id;
end
$$;
comment on function outbox.replay(text, timestamptz) is
    'Delivers again every retained event from the first one emitted at this time or later; returns its id, null when there is none.';

-- Parked events ----------------------------------------------------------------------------------

create function outbox.redrive(name text, event_id uuid default null) returns bigint
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    changed bigint;
begin
    perform outbox.lock_subscription(name);
    -- The first dead event of a key goes first, the others of the key wait behind it. A key that
    -- has an event under way keeps that one first.
    update outbox.delivery d
       set status = r.status,
           attempts = 0,
           next_attempt_at = case when r.status = 'retrying' then now() end
      from (select p.id,
                   case when row_number() over key_order = 1
                         and not exists (select from outbox.delivery u
                                          where u.subscription = p.subscription
                                            and u.aggregate_type = p.aggregate_type
                                            and u.aggregate_id = p.aggregate_id
                                            and u.status = 'retrying')
                        then 'retrying' else 'blocked' end as status
              from outbox.delivery p
             where p.subscription = redrive.name and p.status = 'dead'
               and (redrive.event_id is null or p.event_id = redrive.event_id)
            window key_order as (partition by p.aggregate_type, p.aggregate_id order by p.id)) r
     where d.subscription = redrive.name and d.id = r.id and d.status = 'dead';
    get diagnostics changed = row_count;
    if changed > 0 then
        update outbox.subscription s set generation = s.generation where s.name = redrive.name;
    end if;
    return changed;
end
$$;
comment on function outbox.redrive(text, uuid) is
    'Tries a dead event again (all dead events of the subscription when null), with fresh attempts; returns how many.';

create function outbox.skip(name text, event_id uuid) returns bigint
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    gone record;
begin
    perform outbox.lock_subscription(name);
    delete from outbox.delivery d
     where d.subscription = skip.name and d.event_id = skip.event_id
    returning d.* into gone;
    if not found then
        return 0;
    end if;
    -- Whatever waits behind it goes on, unless another event of the key still holds it.
    perform outbox.advance_key(skip.name, gone.aggregate_type, gone.aggregate_id);
    update outbox.subscription s set generation = s.generation where s.name = skip.name;
    return 1;
end
$$;
comment on function outbox.skip(text, uuid) is
    'Gives up a parked event for good, so that its key goes on; returns 1, or 0 when it is not parked.';

-- The oldest blocked event of the key becomes retrying, unless one is retrying already or, by the
-- subscription's policy, a dead one before it holds the key.
create function outbox.advance_key(name text, aggregate_type text, aggregate_id text) returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    advanced boolean;
begin
    with parked as (
        select d.id, d.status from outbox.delivery d
         where d.subscription = advance_key.name
           and d.aggregate_type = advance_key.aggregate_type
           and d.aggregate_id = advance_key.aggregate_id
    ), candidate as (
        select min(p.id) as id from parked p where p.status = 'blocked'
    )
    update outbox.delivery d set status = 'retrying', next_attempt_at = now()
      from candidate c, outbox.subscription s
     where d.subscription = advance_key.name and d.id = c.id and s.name = advance_key.name
       and not exists (select from parked p
                        where p.status = 'retrying'
                           or (p.status = 'dead' and s.on_dead = 'block' and p.id < c.id))
    returning true into advanced;
    return coalesce(advanced, false);
end
$$;
comment on function outbox.advance_key(text, text, text) is
    'Internal: lets the next blocked event of a key go; returns whether one did.';

create function outbox.advance_keys(name text) returns bigint
language sql
set search_path = pg_catalog, pg_temp
as $$
    select count(*) filter (where outbox.advance_key(advance_keys.name, k.aggregate_type, k.aggregate_id))
      from (select distinct d.aggregate_type, d.aggregate_id
              from outbox.delivery d
             where d.subscription = advance_keys.name and d.status = 'blocked') k
$$;
comment on function outbox.advance_keys(text) is
    'Internal: does so for every key of a subscription; returns how many went on.';

-- The relay ----------------------------------------------------------------------------------------

-- The row lock makes an election wait for writes of the epoch before, and the other way round.
create function outbox.fence(epoch bigint) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    perform from outbox.lease l where l.epoch = fence.epoch for share;
    if not found then
        raise exception 'another relay has been elected since epoch %', epoch using errcode = 'OB001';
    end if;
end
$$;
comment on function outbox.fence(bigint) is
    'First statement of every write of the relay: fails when its epoch is over.';

-- The subscription may have been removed: then there is nothing to be written about.
create function outbox.fence(epoch bigint, name text) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    perform outbox.fence(epoch);
    perform from outbox.subscription s where s.name = fence.name for no key update;
end
$$;
comment on function outbox.fence(bigint, text) is
    'The same for writes about parked events, which must not mix with an operator''s.';

-- A restore from a dump begins the numbering of transactions anew, often far below the numbers that
-- the dump has. The events that a cursor has not settled are found by the old numbering for the last
-- time, and it goes back to the first of them; after that, only what is emitted from now on can be late.
create function outbox.rebase() returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    next_xid constant xid8 := pg_snapshot_xmax(pg_current_snapshot());
begin
    if not exists (select from outbox.lease l where l.mark_xid >= next_xid)
       and not exists (select from outbox.subscription s where pg_snapshot_xmax(s.snapshot) > next_xid)
       and not exists (select from outbox.partition p where p.sealed_xid >= next_xid) then
        return false;
    end if;
    update outbox.subscription s
       set position = c.position, floor = c.position, deep_floor = c.position,
           snapshot = pg_current_snapshot(), late_position = null, late_snapshot = null,
           generation = s.generation + 1
      from (select u.name,
                   coalesce((select min(e.id) - 1 from outbox.event e
                              where e.id > u.deep_floor and e.id <= u.position
                                and not pg_visible_in_snapshot(e.txid, u.snapshot)
                                and not (e.id <= u.late_position
                                         and pg_visible_in_snapshot(e.txid, u.late_snapshot)) is true),
                            u.position) as position
              from outbox.subscription u) c
     where s.name = c.name;
    update outbox.partition p set sealed_xid = pg_current_xact_id() where p.sealed_xid >= next_xid;
    update outbox.lease l set mark_xid = null, mark_position = null;
    return true;
end
$$;
comment on function outbox.rebase() is
    'The relay calls it before it reads the cursors: makes them right when transaction ids have begun anew, as after a restore from a dump; returns whether they had.';
