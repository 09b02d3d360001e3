-- Once per cluster, by its superuser: the outbox's group roles and the relay's login.
-- Variables: relay_password.
select format('create role %I nologin', name)
  from unnest('{outbox_emitter,outbox_relay,outbox_operator,outbox_reader}'::text[]) name
 where not exists (select from pg_roles where rolname = name)
\gexec
select 'create role relay login in role outbox_relay'
 where not exists (select from pg_roles where rolname = 'relay')
\gexec
alter role relay password :'relay_password';
-- A login reaches its own database and no other.
revoke connect on database postgres, template1 from public;
