-- Partitions: created ahead, dropped whole. The relay calls outbox.maintain(); so may pg_cron.
--
-- A partition can be dropped when every subscription's stored cursor has passed it. Passing means
-- more than the position: a transaction that drew an id of the partition may still be open. So the
-- partition is sealed first: when the sequence is past it, a transaction id larger than that of any
-- such transaction is kept (the caller's own, assigned after that look). A cursor whose snapshot
-- has no transaction below it in flight has seen all of the partition.

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

-- Turns the default partition, which should be empty and is not, into an ordinary one that reaches
-- from the last bound to `upper_id`, and puts a new, empty default in its place.
create function outbox.split_default(upper_id bigint) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    lower_id constant bigint := coalesce((select max(p.upper_id) from outbox.partition p), 1);
    part constant name := 'event_' || lower_id;
begin
    lock table outbox.event in access exclusive mode;
    alter table outbox.event detach partition outbox.event_default;
    execute format('alter table outbox.event_default rename to %I', part);
    execute format('alter table outbox.event attach partition outbox.%I for values from (%s) to (%s)',
                   part, lower_id, upper_id);
    create table outbox.event_default partition of outbox.event default;
    comment on table outbox.event_default is
        'Takes what no partition covers, so that an insert never fails; empty while outbox.maintain() runs.';
    execute format('comment on table outbox.%I is %L', part,
                   format('Events with id from %s to %s.', lower_id, upper_id - 1));
    insert into outbox.partition (name, lower_id, upper_id) values (part, lower_id, upper_id);
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
    last_id bigint;
    top bigint;
    own_txid xid8;
    gone name;
    created integer := 0;
    dropped integer := 0;
begin
    if not pg_try_advisory_xact_lock(1329747032, 3) then
        return 'busy';
    end if;
    select * into s from outbox.setting;
    last_id := coalesce(pg_sequence_last_value(
        pg_get_serial_sequence('outbox.event', 'id')::regclass), 0);
    own_txid := pg_current_xact_id();

    update outbox.partition p set sealed_xid = own_txid, sealed_at = clock_timestamp()
     where p.upper_id <= last_id and p.sealed_xid is null;

    begin
        if exists (select from outbox.event_default) then
            perform outbox.split_default((last_id / s.partition_size + 1) * s.partition_size + 1);
            created := created + 1;
        end if;
        loop
            select coalesce(max(p.upper_id), 1) into top from outbox.partition p;
            exit when top > last_id + s.partitions_ahead * s.partition_size;
            -- Ids that nobody has drawn: nothing in the default partition can be in the way. The
            -- bound stays on a multiple of the size, also when the size was changed; a sequence that
            -- was set far ahead gets one wide partition up to there.
            perform outbox.add_partition(
                top, (greatest(top - 1, last_id - 1) / s.partition_size + 1) * s.partition_size + 1);
            created := created + 1;
        end loop;
    exception when lock_not_available or check_violation then
        created := 0; -- an emitter was in the way: the default partition takes the rows meanwhile
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
            exit;
        end;
    end loop;
    return format('%s created, %s dropped', created, dropped);
end
$$;
comment on function outbox.maintain() is
    'Creates partitions ahead of the sequence and drops those that are past the retention and every cursor. Cheap; safe at any time; says what it did.';

select outbox.maintain();
