-- Sends dead letters again. In the publishing database:
--     psql -v subscription=billing -f redrive.sql                        all of the subscription
--     psql -v subscription=billing -v event=0198f1c2-… -f redrive.sql    one event
-- To give an event up for good instead: select outbox.skip('billing', '0198f1c2-…');

\if :{?subscription}
\else
    \echo 'usage: psql -v subscription=NAME [-v event=EVENT_ID] -f redrive.sql'
    \quit
\endif
\if :{?event}
\else
    \set event ''
\endif

select outbox.redrive(:'subscription', nullif(:'event', '')::uuid) as events_sent_again;

select subscription, id, event_type, aggregate_id, status, attempts
  from outbox.delivery
 where subscription = :'subscription'
 order by id;
