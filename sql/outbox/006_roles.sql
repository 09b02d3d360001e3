-- Least privilege by four group roles. They belong to the whole cluster: made here only where they
-- are missing and the installer may create roles; otherwise whoever may creates them, and
-- outbox.grant_roles() is called again.

create function outbox.grant_roles() returns text
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    grants constant text[] := array[
        'outbox_emitter', 'execute on function outbox.emit(text, text, text, jsonb, jsonb, boolean)',

        'outbox_relay', 'select on all tables in schema outbox',
        'outbox_relay', 'select on all sequences in schema outbox',
        'outbox_relay', 'update on outbox.subscription, outbox.lease',
        'outbox_relay', 'insert, update, delete on outbox.delivery',
        'outbox_relay', 'execute on function outbox.maintain(), outbox.rebase(), outbox.fence(bigint), outbox.fence(bigint, text), outbox.advance_key(text, text, text), outbox.matches(text[], text), outbox.is_settled(outbox.subscription, bigint, xid8)',

        'outbox_operator', 'select on outbox.setting, outbox.event, outbox.partition, outbox.subscription, outbox.delivery, outbox.lease, outbox.status, outbox.event_status, outbox.secret_status',
        'outbox_operator', 'execute on function outbox.subscribe(text, text, text[], integer, integer, integer, integer, integer, integer, text, text, boolean), outbox.unsubscribe(text), outbox.rotate_secret(text, text, interval), outbox.pause(text, text), outbox.resume(text), outbox.replay(text, bigint), outbox.replay(text, timestamptz), outbox.redrive(text, uuid), outbox.skip(text, uuid), outbox.maintain(), outbox.matches(text[], text), outbox.is_settled(outbox.subscription, bigint, xid8)',

        'outbox_reader', 'select on outbox.setting, outbox.event, outbox.partition, outbox.subscription, outbox.delivery, outbox.lease, outbox.status, outbox.event_status, outbox.secret_status',
        'outbox_reader', 'execute on function outbox.matches(text[], text), outbox.is_settled(outbox.subscription, bigint, xid8)'];
    role text;
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
        for i in 1 .. array_length(grants, 1) by 2 loop
            if grants[i] = role then
                execute format('grant %s to %I', grants[i + 1], role);
            end if;
        end loop;
    end loop;
    return case missing when '' then 'granted' else 'missing roles:' || missing end;
end
$$;
comment on function outbox.grant_roles() is
    'Grants to outbox_emitter, outbox_relay, outbox_operator and outbox_reader what each needs, and creates them where it may; says which are missing.';

revoke all on all functions in schema outbox from public;
revoke all on schema outbox from public;
select outbox.grant_roles();
