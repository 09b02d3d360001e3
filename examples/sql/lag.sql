-- How far behind is everyone? In any publishing database.

\echo 'Subscriptions: how far behind, and what is parked'
select subscription, state, breaker, lag_events, lag_seconds, retrying, blocked, dead,
       left(last_error, 60) as last_error, date_trunc('second', last_error_at) as last_error_at
  from outbox.status
 order by lag_seconds desc, subscription;

\echo 'The relay that delivers: none listed means that none runs'
select l.holder, l.epoch, date_trunc('second', now() - l.acquired_at) as active_for,
       a.state as session, a.client_addr
  from outbox.lease l, pg_locks k
       join pg_stat_activity a using (pid)
 where k.locktype = 'advisory' and k.classid = 1329747032 and k.objid = 2 and k.granted
   and k.database = (select oid from pg_database where datname = current_database());

\echo 'Events by type in the last hour'
select event_type, count(*) as events, pg_size_pretty(sum(size)) as size,
       date_trunc('second', max(created_at)) as latest
  from outbox.event
 where created_at > now() - interval '1 hour'
 group by event_type
 order by events desc;
