-- Partitions: created ahead, dropped whole. The relay calls outbox.maintain(); so may pg_cron.
--
-- A partition can be dropped when every subscription's stored cursor has passed it. Passing means
-- more than the position: a transaction that drew an id of the partition may still be open. So the
-- partition is sealed first: when the sequence is past it, a transaction id larger than that of any
-- such transaction is kept (the caller's own, assigned after that look). A cursor whose snapshot
-- has no transaction below it in flight has seen all of the partition.
--
-- After the ordinary partitions come two that should be empty, so that an insert never fails when
-- nobody maintains: the default one, which takes the next ids, and event_beyond, which takes the rest.
-- The default one has a CHECK from when it was empty that says which ids it takes. So, when it has
-- become large, it can be made an ordinary partition in a moment: nothing has to be read under
-- the lock to prove its bounds. A CHECK that was added later would have to be enforced for a while
-- before the table can be closed, and would then refuse events. The sequence must not be set back: an
-- id below the ordinary partitions is refused, as no cursor would look there again.

-- Creates event_beyond, a hundred partitions after `top`; returns its first id.
create function outbox.open_beyond(top bigint) returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    far constant bigint := top + (select greatest(100 * s.partition_size, 100000000) from outbox.setting s);
begin
    execute format('create table outbox.event_beyond partition of outbox.event for values from (%s) to (maxvalue)', far);
    comment on table outbox.event_beyond is
        'Takes what comes after the default partition, should nobody call outbox.maintain() for very long or the sequence be set far ahead.';
    insert into outbox.partition (name, lower_id, upper_id) values ('event_beyond', far, 9223372036854775807);
    return far;
end
$$;
comment on function outbox.open_beyond(bigint) is 'Internal to outbox.maintain().';

create function outbox.is_bounded(part name) returns boolean
language sql stable
set search_path = pg_catalog, pg_temp
as $$
    select exists (select from pg_constraint c
                    where c.conrelid = format('outbox.%I', part)::regclass and c.conname = 'event_default_ids')
$$;
comment on function outbox.is_bounded(name) is 'Internal to outbox.maintain(): whether bound_default() has given the table its CHECK.';

-- Says by a CHECK which ids the default partition takes, while it is empty.
create function outbox.bound_default() returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    execute (
        select format('alter table outbox.event_default %s add constraint event_default_ids check (id >= %s and id < %s)',
                      case when outbox.is_bounded('event_default') then 'drop constraint event_default_ids,' end,
                      coalesce(max(p.upper_id) filter (where p.name <> 'event_beyond'), 1),
                      max(p.lower_id) filter (where p.name = 'event_beyond'))
          from outbox.partition p);
end
$$;
comment on function outbox.bound_default() is 'Internal to outbox.maintain().';

create function outbox.add_partition(lower_id bigint, upper_id bigint) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    part constant name := 'event_' || lower_id;
begin
    -- LIKE and ATTACH instead of PARTITION OF: emitters need not wait.
    execute format('create table outbox.%I (like outbox.event including defaults)', part);
    execute format('alter table outbox.event attach partition outbox.%I for values from (%s) to (%s)',
                   part, lower_id, upper_id);
    execute format('comment on table outbox.%I is %L', part,
                   format('Events with id from %s to %s.', lower_id, upper_id - 1));
    insert into outbox.partition (name, lower_id, upper_id) values (part, lower_id, upper_id);
end
$$;
comment on function outbox.add_partition(bigint, bigint) is 'Internal to outbox.maintain().';

-- Turns the default partition or event_beyond into an ordinary one with these bounds. Its rows are
-- read to prove them, unless its CHECK does.
create function outbox.close_partition(open name, lower_id bigint, upper_id bigint) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    part constant name := 'event_' || lower_id;
begin
    execute format('alter table outbox.event detach partition outbox.%I', open);
    execute format('alter table outbox.%I rename to %I', open, part);
    execute format('alter table outbox.event attach partition outbox.%I for values from (%s) to (%s)',
                   part, lower_id, upper_id);
    if outbox.is_bounded(part) then
        execute format('alter table outbox.%I drop constraint event_default_ids', part);
    end if;
    execute format('comment on table outbox.%I is %L', part,
                   format('Events with id from %s to %s.', lower_id, upper_id - 1));
    delete from outbox.partition p where p.name = open;
    insert into outbox.partition (name, lower_id, upper_id) values (part, lower_id, upper_id);
end
$$;
comment on function outbox.close_partition(name, bigint, bigint) is 'Internal to outbox.maintain().';

-- Closes the default partition, which has rows, and puts an empty one in its place. A small one is
-- closed at the next multiple of the size, as its rows are soon read. A large one keeps the ids that its
-- CHECK allows, and the sequence skips what is left of them. Once event_beyond has been reached, it
-- is closed, too: that reads its rows, but takes a hundred partitions without any maintenance.
create function outbox.split_default(size bigint) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    soon_read constant bigint := 16777216; -- bytes
    ids constant regclass := pg_get_serial_sequence('outbox.event', 'id');
    lower_id constant bigint := coalesce(
        (select max(p.upper_id) from outbox.partition p where p.name <> 'event_beyond'), 1);
    far constant bigint := (select p.lower_id from outbox.partition p where p.name = 'event_beyond');
    last_id bigint;
    next_bound bigint;
    beyond boolean;
begin
    lock table outbox.event in access exclusive mode;
    last_id := coalesce(pg_sequence_last_value(ids), 0); -- no emitter is in flight any more
    next_bound := (last_id / size + 1) * size + 1;
    beyond := last_id >= far or exists (select from outbox.event_beyond);
    if lower_id >= far then
        null; -- the default partition has no ids left, so it is empty
    elsif not beyond and pg_relation_size('outbox.event_default') <= soon_read then
        perform outbox.close_partition('event_default', lower_id, least(next_bound, far));
    else
        perform outbox.close_partition('event_default', lower_id, far);
    end if;
    if beyond then
        perform outbox.close_partition('event_beyond', far, next_bound);
        perform outbox.open_beyond(next_bound);
    elsif exists (select from outbox.partition p where p.upper_id = far) then
        drop table outbox.event_beyond;
        delete from outbox.partition p where p.name = 'event_beyond';
        perform outbox.open_beyond(far);
        perform setval(ids, far - 1) where lower_id < far;
    end if;
    if to_regclass('outbox.event_default') is null then
        create table outbox.event_default partition of outbox.event default;
        comment on table outbox.event_default is
            'Takes what no partition covers, so that an insert never fails; empty while outbox.maintain() runs.';
    end if;
end
$$;
comment on function outbox.split_default(bigint) is 'Internal to outbox.maintain().';

-- Who can't have a lock at once lets the emitters pass and comes again next time: hence its
-- lock_timeout, which ends with it.
create function outbox.maintain() returns text
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '50ms'
as $$
declare
    s outbox.setting;
    ids constant regclass := pg_get_serial_sequence('outbox.event', 'id');
    last_id bigint;
    top bigint;
    far bigint;
    own_txid xid8;
    gone name;
    created integer := 0;
    dropped integer := 0;
    gave_way boolean := false;
begin
    if not pg_try_advisory_xact_lock(1329747032, 3) then
        return 'busy';
    end if;
    select * into s from outbox.setting;
    last_id := coalesce(pg_sequence_last_value(ids), 0);
    own_txid := pg_current_xact_id();

    update outbox.partition p set sealed_xid = own_txid, sealed_at = clock_timestamp()
     where p.upper_id <= last_id and p.sealed_xid is null;

    begin
        select coalesce(max(p.upper_id), 1) into top from outbox.partition p where p.name <> 'event_beyond';
        select p.lower_id into far from outbox.partition p where p.name = 'event_beyond';
        if exists (select from outbox.event_default) or last_id >= far or top >= far then
            perform outbox.split_default(s.partition_size);
            created := created + 1;
            last_id := pg_sequence_last_value(ids);
        end if;
        loop
            select coalesce(max(p.upper_id), 1) into top from outbox.partition p where p.name <> 'event_beyond';
            select p.lower_id into far from outbox.partition p where p.name = 'event_beyond';
            exit when top > last_id + s.partitions_ahead * s.partition_size or top >= far;
            -- Ids that nobody has drawn: nothing in the default partition can be in the way. The
            -- bound stays on a multiple of the size, also when the size was changed.
            perform outbox.add_partition(
                top, least((greatest(top - 1, last_id - 1) / s.partition_size + 1) * s.partition_size + 1, far));
            created := created + 1;
        end loop;
        if created > 0 then
            perform outbox.bound_default();
        end if;
    exception when lock_not_available or check_violation then
        created := 0; -- an emitter or a vacuum was in the way: the default partition takes the rows meanwhile
        gave_way := true;
    end;

    for gone in
        select p.name from outbox.partition p
         where p.sealed_at < now() - s.retention
           and not exists (
               select from outbox.subscription u
                where u.position < p.upper_id - 1
                   or pg_snapshot_xmin(u.snapshot) < p.sealed_xid)
         order by p.lower_id
    loop
        begin
            execute format('lock table outbox.%I in access exclusive mode', gone);
            -- Once more, now that no replay() can be looking at it.
            continue when exists (
                select from outbox.subscription u, outbox.partition p
                 where p.name = gone and u.position < p.upper_id - 1);
            execute format('drop table outbox.%I', gone);
            delete from outbox.partition p where p.name = gone;
            dropped := dropped + 1;
        exception when lock_not_available then
            gave_way := true;
            exit;
        end;
    end loop;
    return format('%s created, %s dropped', created, dropped) || case when gave_way then ', gave way' else '' end;
end
$$;
comment on function outbox.maintain() is
    'Creates partitions ahead of the sequence and drops those that are past the retention and every cursor. Cheap; safe at any time; says what it did.';

select outbox.open_beyond(1);
select outbox.maintain();
