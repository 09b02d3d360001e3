-- Who may read the inbox must also get in. Where a service publishes, sql/outbox lets the reader connect;
-- one that only consumes has no outbox.
do $$
begin
    if exists (select from pg_roles where rolname = 'outbox_reader') then
        execute format('grant connect on database %I to outbox_reader', current_database());
    end if;
end
$$;
