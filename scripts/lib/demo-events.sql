-- What a database knows of a user's events, as lines for scripts/demo: the events it has emitted,
-- with their subscribers, and those it has received. Under one snapshot, so that whoever sees a
-- received event sees what was emitted in answer to it as well.
-- Variables: service, user_id, since.
begin isolation level repeatable read read only;
select to_regclass('outbox.event') is not null as publishes,
       to_regclass('inbox.message') is not null as consumes
\gset
\if :publishes
select 'event', :'service', e.event_id, e.event_type, (extract(epoch from e.created_at) * 1e6)::bigint,
       coalesce((select string_agg(s.name, ',' order by s.name)
                   from outbox.subscription s
                  where outbox.matches(s.event_types, e.event_type)), '-')
  from outbox.event e
 where e.payload ->> 'userId' = :'user_id' and e.created_at >= :'since'::timestamptz;
\endif
\if :consumes
select 'inbox', :'service', m.event_id, m.event_type, (extract(epoch from m.received_at) * 1e6)::bigint, '-'
  from inbox.message m
 where m.received_at >= :'since'::timestamptz;
\endif
commit;
