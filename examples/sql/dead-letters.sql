-- Which events were given up, and why? In any publishing database.
-- Once the receiver is fixed, redrive.sql sends them again.

select subscription, event_id, event_type, aggregate_type || ' ' || aggregate_id as key, attempts,
       last_status as http, left(last_error, 80) as last_error,
       date_trunc('second', last_attempt_at) as given_up_at
  from outbox.delivery
 where status = 'dead'
 order by id, subscription;

\echo 'The same by what went wrong'
select subscription, event_type, last_status as http, left(last_error, 80) as last_error,
       count(*) as events, count(distinct (aggregate_type, aggregate_id)) as keys
  from outbox.delivery
 where status = 'dead'
 group by 1, 2, 3, 4
 order by events desc;
