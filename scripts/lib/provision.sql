-- Once per cluster, by its superuser: the outbox's group roles, the relay's login and, when it is given
-- a password, that of monitoring.
-- Variables: relay_password, monitor_password (optional).
select format('create role %I nologin', name)
  from unnest('{outbox_emitter,outbox_relay,outbox_operator,outbox_reader}'::text[]) name
 where not exists (select from pg_roles where rolname = name)
\gexec
select 'create role relay login in role outbox_relay'
 where not exists (select from pg_roles where rolname = 'relay')
\gexec
alter role relay password :'relay_password';
\if :{?monitor_password}
select 'create role monitor login in role outbox_reader, pg_monitor'
 where not exists (select from pg_roles where rolname = 'monitor')
\gexec
alter role monitor password :'monitor_password';
-- It only looks, and what it asks must not weigh on the shop.
alter role monitor set default_transaction_read_only = on;
alter role monitor set statement_timeout = '5s';
alter role monitor set jit = off;
grant connect on database postgres to monitor;
\endif
-- A login reaches its own database and no other.
revoke connect on database postgres, template1 from public;
