-- Which keys are held back, by which event? In any publishing database.
-- Only the key of a refused event waits; all other keys go on.

select d.subscription, d.aggregate_type || ' ' || d.aggregate_id as key,
       d.id, d.event_type, d.status, d.attempts, d.last_status as http,
       left(d.last_error, 60) as last_error,
       date_trunc('second', d.next_attempt_at - now()) as next_attempt_in,
       count(b.id) as waiting_behind,
       date_trunc('second', now() - d.created_at) as age
  from outbox.delivery d
       left join outbox.delivery b on b.subscription = d.subscription and b.status = 'blocked'
           and b.aggregate_type = d.aggregate_type and b.aggregate_id = d.aggregate_id
 where d.status = 'retrying'
    or d.status = 'dead' and exists (
           select from outbox.subscription s where s.name = d.subscription and s.on_dead = 'block')
 group by d.subscription, d.id
 order by waiting_behind desc, d.id;
