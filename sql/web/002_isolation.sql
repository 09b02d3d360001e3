-- A service's database is for its own role, and for those that are granted CONNECT by name (the
-- relay, by sql/outbox). PostgreSQL lets everybody connect by default; the owner may take that away.
do $$
begin
    execute format('revoke connect, temporary on database %I from public', current_database());
end
$$;
