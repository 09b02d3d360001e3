-- What has not arrived yet, and why is it late? In any publishing database.

\echo 'Not delivered yet, oldest first'
with relay as (
    select exists (
        select from pg_locks
         where locktype = 'advisory' and classid = 1329747032 and objid = 2 and granted
           and database = (select oid from pg_database where datname = current_database())
    ) or coalesce(valid_until > now(), false) as runs
      from outbox.lease
)
select e.subscription, e.id, e.event_type, e.aggregate_type || ' ' || e.aggregate_id as key,
       date_trunc('second', now() - e.created_at) as age,
       case
           when s.state = 'disabled' then 'subscription disabled: ' || coalesce(s.state_reason, '?')
           when s.state = 'paused' then 'subscription paused' || coalesce(': ' || s.state_reason, '')
           when not relay.runs then 'no relay runs'
           when s.breaker = 'open' then 'endpoint is down: ' || coalesce(s.last_error, '?')
           when e.status = 'retrying' then format('refused %s times (%s), next attempt in %s s',
               e.attempts, coalesce(e.last_error, e.last_status::text),
               ceil(greatest(0, extract(epoch from e.next_attempt_at - now()))))
           when e.status = 'blocked' then format('waits for event %s of its key', (
               select min(d.id) from outbox.delivery d
                where d.subscription = e.subscription and d.aggregate_type = e.aggregate_type
                  and d.aggregate_id = e.aggregate_id and d.status <> 'blocked'))
           else 'on its way'
       end as reason
  from outbox.event_status e
       join outbox.subscription s on s.name = e.subscription
       cross join relay
 where e.status in ('pending', 'retrying', 'blocked')
   -- Older events are settled or parked.
   and (e.status <> 'pending' or e.id > (select min(deep_floor) from outbox.subscription))
 order by e.id, e.subscription
 limit 50;

\echo 'Open transactions: what they have emitted can be seen by nobody before they commit'
select pid, usename as role, application_name, state,
       date_trunc('second', now() - xact_start) as open_for, left(query, 60) as last_statement
  from pg_stat_activity
 where datname = current_database() and backend_xid is not null and pid <> pg_backend_pid()
 order by xact_start;
