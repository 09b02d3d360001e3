-- Monitoring reads when the newest event arrived: the outbox's reader role may look here too, where
-- it exists. A database that gets the role later is granted with the same two statements.
do $$
begin
    if exists (select from pg_roles where rolname = 'outbox_reader') then
        grant usage on schema inbox to outbox_reader;
        grant select on inbox.message to outbox_reader;
    end if;
end
$$;
