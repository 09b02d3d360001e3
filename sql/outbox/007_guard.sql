-- What the relay makes sure of before it reads or sends anything: that this is the database it has
-- always been, that a restore is complete, and that the numbers of events go on from where they were.
-- outbox.guard() finds what is wrong, outbox.adopt() and outbox.repair() put it right.

-- Grants ---------------------------------------------------------------------------------------
-- Each migration adds what its own functions need.

create table outbox.role_grant (
    role      text not null,
    privilege text not null,
    primary key (role, privilege)
);
comment on table outbox.role_grant is 'What outbox.grant_roles() grants to the four group roles.';
comment on column outbox.role_grant.role is 'Group role.';
comment on column outbox.role_grant.privilege is 'What it may do, as in GRANT … TO.';

insert into outbox.role_grant (role, privilege) values
    ('outbox_emitter', 'execute on function outbox.emit(text, text, text, jsonb, jsonb, boolean)'),

    ('outbox_relay', 'select on all tables in schema outbox'),
    ('outbox_relay', 'select on all sequences in schema outbox'),
    ('outbox_relay', 'update on outbox.subscription, outbox.lease'),
    ('outbox_relay', 'insert, update, delete on outbox.delivery'),
    ('outbox_relay', 'execute on function outbox.maintain(), outbox.rebase(), outbox.fence(bigint), outbox.fence(bigint, text), outbox.advance_key(text, text, text)'),

    ('outbox_operator', 'execute on function outbox.subscribe(text, text, text[], integer, integer, integer, integer, integer, integer, text, text, boolean), outbox.unsubscribe(text), outbox.rotate_secret(text, text, interval)'),
    ('outbox_operator', 'execute on function outbox.pause(text, text), outbox.resume(text), outbox.replay(text, bigint), outbox.replay(text, timestamptz)'),
    ('outbox_operator', 'execute on function outbox.redrive(text, uuid), outbox.skip(text, uuid), outbox.maintain()');
insert into outbox.role_grant (role, privilege)
select r, p
  from unnest(array['outbox_operator', 'outbox_reader']) r,
       unnest(array['select on outbox.setting, outbox.event, outbox.partition, outbox.subscription, outbox.delivery, outbox.lease',
                    'select on outbox.status, outbox.event_status, outbox.secret_status']) p;
insert into outbox.role_grant (role, privilege)
select r, 'execute on function outbox.matches(text[], text), outbox.is_settled(outbox.subscription, bigint, xid8)'
  from unnest(array['outbox_relay', 'outbox_operator', 'outbox_reader']) r;

create or replace function outbox.grant_roles() returns text
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    role text;
    granted text;
    missing text := '';
begin
    foreach role in array array['outbox_emitter', 'outbox_relay', 'outbox_operator', 'outbox_reader'] loop
        if not exists (select from pg_roles r where r.rolname = role) then
            begin
                execute format('create role %I nologin', role);
            exception
                when insufficient_privilege then
                    missing := missing || ' ' || role;
                    continue;
                when duplicate_object or unique_violation then
                    null; -- made by another database's installer at the same time
            end;
        end if;
        begin
            execute format('grant connect on database %I to %I', current_database(), role);
        exception when insufficient_privilege then
            null; -- not the owner of the database; most let everybody connect anyway
        end;
        execute format('grant usage on schema outbox to %I', role);
        for granted in execute 'select privilege from outbox.role_grant where role = $1' using role loop
            execute format('grant %s to %I', granted, role);
        end loop;
    end loop;
    return case missing when '' then 'granted' else 'missing roles:' || missing end;
end
$$;

-- Which database this is -------------------------------------------------------------------------

create function outbox.system_identifier() returns bigint
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    return (select c.system_identifier from pg_control_system() c);
exception when insufficient_privilege then
    return null; -- some providers keep it to themselves; the database's oid still tells
end
$$;
comment on function outbox.system_identifier() is
    'The cluster''s identifier: a standby has that of its primary; initdb, and with it pg_upgrade, makes a new one. Null where it may not be read.';

create table outbox.origin (
    only_row          boolean primary key default true check (only_row),
    system_identifier bigint default outbox.system_identifier(),
    database          oid not null,
    database_name     name not null default current_database(),
    adopted_at        timestamptz not null default now(),
    adopted_by        name not null default session_user
);
insert into outbox.origin (database) select d.oid from pg_database d where d.datname = current_database();
comment on table outbox.origin is
    'The database that this outbox belongs to; exactly one row. In a copy it names the original, which is how the relay knows that it must not send.';
comment on column outbox.origin.only_row is 'Keeps the table at one row.';
comment on column outbox.origin.system_identifier is 'Of the cluster; null where it could not be read.';
comment on column outbox.origin.database is 'Its oid in pg_database.';
comment on column outbox.origin.database_name is 'Its name, for people.';
comment on column outbox.origin.adopted_at is 'When the outbox was installed here, or adopted.';
comment on column outbox.origin.adopted_by is 'By which role.';

create function outbox.is_origin() returns boolean
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
    select coalesce(o.system_identifier = outbox.system_identifier(), true)
           and o.database = (select d.oid from pg_database d where d.datname = current_database())
      from outbox.origin o
$$;
comment on function outbox.is_origin() is
    'Whether this database is the one in outbox.origin. A promoted standby is; a clone, a restored dump and a cluster after pg_upgrade are not.';

create function outbox.adopt(how text) returns bigint
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    before outbox.origin;
    paused bigint := 0;
begin
    if how is null or how not in ('moved', 'copied') then
        raise exception 'adopt: say moved or copied' using errcode = 'invalid_parameter_value';
    end if;
    select * into before from outbox.origin for update;
    if outbox.is_origin() then
        return 0;
    end if;
    if how = 'copied' then
        update outbox.subscription s
           set state = 'paused', state_reason = format('copied from database "%s"', before.database_name)
         where s.state = 'active';
        get diagnostics paused = row_count;
    end if;
    update outbox.origin o
       set system_identifier = outbox.system_identifier(),
           database = (select d.oid from pg_database d where d.datname = current_database()),
           database_name = current_database(), adopted_at = now(), adopted_by = session_user;
    return paused;
end
$$;
comment on function outbox.adopt(text) is
    'Says what this database is to the one it came from. moved: it takes its place, and delivery goes on from the cursors. copied: it is another one, so its subscriptions are paused, how many is returned; resume each when it has a url of its own. Does nothing where the outbox is at home.';

-- What has been settled --------------------------------------------------------------------------

-- In steps: with a default at once PostgreSQL would refuse, as is_settled() uses the row type.
alter table outbox.subscription add column settled_at timestamptz;
update outbox.subscription set settled_at = clock_timestamp();
alter table outbox.subscription alter column settled_at set default clock_timestamp(), alter column settled_at set not null;
comment on column outbox.subscription.settled_at is
    'Cursor: when its newest snapshot was taken. What was emitted later can''t have been settled, whatever its number.';

create function outbox.is_settled(s outbox.subscription, id bigint, txid xid8, created_at timestamptz)
returns boolean
language sql stable parallel safe
return created_at <= s.settled_at and outbox.is_settled(s, id, txid);
comment on function outbox.is_settled(outbox.subscription, bigint, xid8, timestamptz) is
    'Whether the cursor has passed an event. Numbers may begin anew, as after TRUNCATE … RESTART IDENTITY; the time tells those events apart.';

create or replace view outbox.event_status as
select s.name as subscription,
       e.id, e.event_id, e.aggregate_type, e.aggregate_id, e.event_type, e.created_at,
       coalesce(d.status, case when outbox.is_settled(s, e.id, e.txid, e.created_at) then 'delivered' else 'pending' end) as status,
       d.attempts, d.next_attempt_at, d.last_attempt_at, d.last_status, d.last_error,
       e.payload, e.headers
  from outbox.event e
       join outbox.subscription s on outbox.matches(s.event_types, e.event_type)
                                     and (e.id > s.start_position or e.created_at > s.settled_at)
       left join outbox.delivery d on d.subscription = s.name and d.id = e.id
union all
select d.subscription, d.id, d.event_id, d.aggregate_type, d.aggregate_id, d.event_type, d.created_at,
       d.status, d.attempts, d.next_attempt_at, d.last_attempt_at, d.last_status, d.last_error,
       d.payload, d.headers
  from outbox.delivery d
 where not exists (select from outbox.event e
                     join outbox.subscription s on s.name = d.subscription
                    where e.id = d.id and outbox.matches(s.event_types, e.event_type)
                      and e.id > s.start_position);

-- What is wrong ----------------------------------------------------------------------------------

create function outbox.newest_id() returns bigint
language sql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
    select case when q.is_called then q.last_value else q.last_value - 1 end from outbox.event_id_seq q
$$;
comment on function outbox.newest_id() is 'The newest number that the sequence of event ids has given out.';

-- No number may come again: neither an event's, nor one that a cursor or the relay's mark rests on.
create function outbox.least_newest_id() returns bigint
language sql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
    select greatest((select max(e.id) from outbox.event e),
                    (select max(s.position) from outbox.subscription s),
                    (select l.mark_position from outbox.lease l), 0)
$$;
comment on function outbox.least_newest_id() is
    'What outbox.newest_id() must not be below: the largest id of an event, of a cursor and of the relay''s mark.';

-- The tables attached to outbox.event, with the bounds that the catalogue gives; the default
-- partition has none.
create function outbox.attached_partition(out name name, out lower_id bigint, out upper_id bigint)
returns setof record
language sql stable
set search_path = pg_catalog, pg_temp
as $$
    select c.relname,
           substring(pg_get_expr(c.relpartbound, c.oid) from 'FROM \(''?(\d+)')::bigint,
           coalesce(substring(pg_get_expr(c.relpartbound, c.oid) from 'TO \(''?(\d+)')::bigint,
                    9223372036854775807)
      from pg_inherits i join pg_class c on c.oid = i.inhrelid
     where i.inhparent = 'outbox.event'::regclass
       and pg_get_expr(c.relpartbound, c.oid) <> 'DEFAULT'
$$;
comment on function outbox.attached_partition() is
    'Internal to outbox.guard() and outbox.repair(): the partitions that there are.';

-- The times of events are in their UUIDs, by which a BRIN index finds them; created_at has none.
create function outbox.first_event_id(at timestamptz) returns uuid
language sql immutable strict parallel safe
return (lpad(to_hex(greatest(date_part('epoch', at) * 1000, 0)::bigint), 12, '0') || repeat('0', 20))::uuid;
comment on function outbox.first_event_id(timestamptz) is
    'The smallest event_id that an event emitted at this time can have (see outbox.new_event_id), to look events up by time.';

-- Events that were emitted after a cursor had passed their number, and which the relay will not find
-- by itself: it looks above floor for what the snapshot does not see, and below for the transactions that
-- the snapshot lists. A hidden one has a transaction id that was in use before, in another numbering, so it looks
-- settled; only its time tells, by a second's margin for a writer that was held up between number and time.
create function outbox.passed_event(s outbox.subscription, out id bigint, out hidden boolean)
returns setof record
language sql stable
set search_path = pg_catalog, pg_temp
as $$
    select e.id, e.hidden
      from (select r.id, r.txid, r.created_at,
                   pg_visible_in_snapshot(r.txid, s.snapshot)
                   or r.txid >= pg_snapshot_xmax(pg_current_snapshot()) as hidden
              from outbox.event r
             where r.id <= s.position and r.created_at > s.settled_at
               and r.event_id >= outbox.first_event_id(s.settled_at - interval '1 s')) e
     where case when e.hidden then e.created_at > s.settled_at + interval '1 s'
                else e.id <= s.deep_floor
                     or e.id <= s.floor and e.txid not in (select pg_snapshot_xip(s.snapshot)) end
$$;
comment on function outbox.passed_event(outbox.subscription) is
    'Internal to outbox.guard() and outbox.repair(): new events whose number a cursor had passed before they were emitted.';

create function outbox.guard(
    out code text, out stops boolean, out problem text, out command text)
returns setof record
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    incomplete text;
    newest bigint;
    least_newest bigint;
    passed text;
    differing text;
begin
    -- In a restore a primary key comes after its table's rows; that of outbox.event is valid when
    -- those of all partitions are there.
    select string_agg(c.relname, ', ' order by c.relname) into incomplete
      from pg_class c
     where c.relnamespace = 'outbox'::regnamespace
       and c.relname = any (array['setting', 'event', 'partition', 'subscription', 'secret', 'delivery', 'lease', 'origin'])
       and not exists (select from pg_index i
                        where i.indrelid = c.oid and i.indisprimary and i.indisvalid);
    if incomplete is not null then
        code := 'restore_incomplete'; stops := true;
        problem := format('no valid primary key on %s: a restore is under way, or it has failed', incomplete);
        command := 'wait for the end of the restore; when it has failed, repeat it';
        return next;
        return; -- whatever else is wrong may come from that
    end if;

    if outbox.is_origin() is not true then
        code := 'other_database'; stops := true;
        select format('this is not the database "%s" that the outbox was installed in: it was moved here, or copied', o.database_name)
          into problem from outbox.origin o;
        problem := coalesce(problem, 'outbox.origin has no row');
        command := 'outbox-relay adopt --moved, or outbox-relay adopt --copied';
        return next;
    end if;

    newest := outbox.newest_id();
    least_newest := outbox.least_newest_id();
    if newest < least_newest then
        code := 'sequence_behind'; stops := true;
        problem := format('outbox.event_id_seq is at %s, but %s was in use already: event ids have begun anew',
                          newest, least_newest);
        command := 'outbox-relay repair';
        return next;
    end if;

    select string_agg(s.name, ', ' order by s.name) into passed
      from outbox.subscription s where exists (select from outbox.passed_event(s));
    if passed is not null and newest >= least_newest then
        code := 'passed_events'; stops := true;
        problem := format('event ids have begun anew: there are new events with numbers that cursors had passed before, of %s', passed);
        command := 'outbox-relay repair';
        return next;
    end if;

    select string_agg(coalesce(p.name, a.name), ', ' order by coalesce(p.lower_id, a.lower_id)) into differing
      from outbox.partition p
           full join outbox.attached_partition() a
                  on (a.name, a.lower_id, a.upper_id) = (p.name, p.lower_id, p.upper_id)
     where p.name is null or a.name is null;
    if differing is not null then
        code := 'partitions'; stops := false;
        problem := format('outbox.partition does not fit the tables that there are: %s', differing);
        command := 'outbox-relay repair';
        return next;
    end if;
end
$$;
comment on function outbox.guard() is
    'What must be put right before the relay may go on (stops), or soon: one row for each, with the command that does it. No row: all is well.';

-- Repair -----------------------------------------------------------------------------------------

-- Where a lower floor is enough for the relay to find them, nothing is delivered twice. A hidden one looks settled,
-- so the position goes back to it, and all that follows is delivered again.
create function outbox.repair_cursors(apply boolean, out name text, out passed bigint, out target bigint)
returns setof record
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    s outbox.subscription;
    first_hidden bigint;
begin
    for s in select * from outbox.subscription u order by u.name loop
        select count(*), min(p.id) - 1, min(p.id) filter (where p.hidden) - 1
          into passed, target, first_hidden
          from outbox.passed_event(s) p;
        continue when passed = 0;
        name := s.name;
        if apply then
            update outbox.subscription u
               set position = coalesce(first_hidden, u.position),
                   floor = least(u.floor, target), deep_floor = least(u.deep_floor, target),
                   late_position = null, late_snapshot = null,
                   start_position = least(u.start_position, target),
                   generation = u.generation + 1
             where u.name = s.name;
        end if;
        return next;
    end loop;
end
$$;
comment on function outbox.repair_cursors(boolean) is 'Internal to outbox.repair().';

create function outbox.repair(apply boolean default false, out problem text, out action text)
returns setof record
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    newest bigint;
    least_newest bigint;
    c record;
    p record;
begin
    if exists (select from outbox.guard() g where g.code = 'restore_incomplete') then
        raise exception 'a restore is under way, or it has failed'
            using errcode = 'object_not_in_prerequisite_state',
                  hint = 'Wait for its end; when it has failed, repeat it.';
    end if;
    if apply then
        -- No emitter is in flight any more, and none begins.
        lock table outbox.event in share row exclusive mode;
    end if;

    newest := outbox.newest_id();
    least_newest := outbox.least_newest_id();
    for c in select * from outbox.repair_cursors(apply) loop
        problem := format('subscription %s: %s new events have a number that its cursor had passed before',
                          c.name, c.passed);
        action := format('look for them from number %s on', c.target + 1);
        return next;
    end loop;
    if newest < least_newest then
        problem := format('outbox.event_id_seq is at %s, but %s was in use already', newest, least_newest);
        action := format('set it to %s', least_newest);
        if apply then
            perform setval('outbox.event_id_seq', least_newest);
            update outbox.lease l set mark_xid = null, mark_position = null;
        end if;
        return next;
    end if;

    for p in
        select r.name from outbox.partition r
         where not exists (select from outbox.attached_partition() a
                            where (a.name, a.lower_id, a.upper_id) = (r.name, r.lower_id, r.upper_id))
         order by r.lower_id
    loop
        problem := format('outbox.partition has a row for %s, which is not such a partition', p.name);
        action := 'delete the row';
        if apply then
            delete from outbox.partition r where r.name = p.name;
        end if;
        return next;
    end loop;
    for p in
        select a.* from outbox.attached_partition() a
         where not exists (select from outbox.partition r
                            where (a.name, a.lower_id, a.upper_id) = (r.name, r.lower_id, r.upper_id))
         order by a.lower_id
    loop
        problem := format('the partition %s has no row in outbox.partition', p.name);
        action := 'add the row';
        if apply then
            insert into outbox.partition (name, lower_id, upper_id) values (p.name, p.lower_id, p.upper_id);
        end if;
        return next;
    end loop;
end
$$;
comment on function outbox.repair(boolean) is
    'What would put right what outbox.guard() finds, a row for each step; with apply => true it is done. Emitters wait meanwhile.';

-- As before, and an event that was emitted after the snapshot is not settled.
create or replace function outbox.rebase() returns boolean
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
           start_position = least(s.start_position, c.position),
           generation = s.generation + 1
      from (select u.name,
                   coalesce((select min(e.id) - 1 from outbox.event e
                              where e.id <= u.position
                                and (e.created_at > u.settled_at
                                     or e.id > u.deep_floor and not pg_visible_in_snapshot(e.txid, u.snapshot)
                                        and not (e.id <= u.late_position
                                                 and pg_visible_in_snapshot(e.txid, u.late_snapshot)) is true)),
                            u.position) as position
              from outbox.subscription u) c
     where s.name = c.name;
    update outbox.partition p set sealed_xid = pg_current_xact_id() where p.sealed_xid >= next_xid;
    update outbox.lease l set mark_xid = null, mark_position = null;
    return true;
end
$$;

-- Roles ------------------------------------------------------------------------------------------

revoke all on function outbox.system_identifier(), outbox.is_origin(), outbox.adopt(text),
    outbox.is_settled(outbox.subscription, bigint, xid8, timestamptz), outbox.newest_id(),
    outbox.least_newest_id(), outbox.attached_partition(), outbox.guard(),
    outbox.first_event_id(timestamptz), outbox.passed_event(outbox.subscription), outbox.repair_cursors(boolean),
    outbox.repair(boolean) from public;
insert into outbox.role_grant (role, privilege)
select r, 'execute on function outbox.is_settled(outbox.subscription, bigint, xid8, timestamptz), outbox.first_event_id(timestamptz), outbox.is_origin(), outbox.guard()'
  from unnest(array['outbox_relay', 'outbox_operator', 'outbox_reader']) r;
insert into outbox.role_grant (role, privilege) values
    ('outbox_operator', 'select on outbox.origin'),
    ('outbox_reader', 'select on outbox.origin'),
    ('outbox_relay', 'execute on function outbox.adopt(text)'), -- OUTBOX_RELAY_ADOPT=moved
    ('outbox_operator', 'execute on function outbox.adopt(text), outbox.repair(boolean)');
select outbox.grant_roles();
