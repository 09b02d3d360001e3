-- Per service, by the superuser: its login and its database.
-- Variables: role, password, publishes (then the relay may connect).
select format('create role %I login', :'role')
 where not exists (select from pg_roles where rolname = :'role')
\gexec
alter role :"role" password :'password';
select format('create database %I owner %I', :'role', :'role')
 where not exists (select from pg_database where datname = :'role')
\gexec
revoke all on database :"role" from public;
select format('grant connect on database %I to relay', :'role')
 where :'publishes' = 'publishes'
\gexec
select format('grant connect on database %I to monitor', :'role')
 where exists (select from pg_roles where rolname = 'monitor')
\gexec
