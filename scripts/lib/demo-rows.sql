-- How many rows a database has in its outbox and inbox; '-' where it has none.
-- Variables: service.
select to_regclass('outbox.event') is not null as publishes,
       to_regclass('inbox.message') is not null as consumes
\gset
\set events -
\set waiting -
\set parked -
\set received -
\if :publishes
select count(*) as events from outbox.event \gset
select coalesce(sum(lag_events), 0) as waiting from outbox.status \gset
select count(*) as parked from outbox.delivery \gset
\endif
\if :consumes
select count(*) as received from inbox.message \gset
\endif
\qecho :service :events :waiting :parked :received
