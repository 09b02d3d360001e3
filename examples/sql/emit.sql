-- Emits an event by hand, as any program in any language may. In a publishing database:
--     psql -f emit.sql
-- The event exists if and only if the transaction commits, and belongs in the transaction of the change that it
-- reports. This one has a type that nobody has subscribed to; outbox.subscribe() or `outbox-relay subscribe`
-- would make someone receive it.

begin;

-- update … set …: the change itself

select outbox.emit(
    aggregate_type => 'example',
    aggregate_id   => '1',
    event_type     => 'example.happened',
    payload        => jsonb_build_object('by', current_user, 'at', now()),
    headers        => '{"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}'
) as event_id \gset

commit;

\echo 'Emitted:'
select id, event_id, event_type, aggregate_type || ' ' || aggregate_id as key, payload, created_at
  from outbox.event
 where event_id = :'event_id';

\echo 'Where it goes: one row for each subscription that wants it'
select subscription, status, attempts, last_error
  from outbox.event_status
 where event_id = :'event_id';
