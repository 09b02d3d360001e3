-- For people with psql. The stored cursor is a low-water mark that the relay writes about once a
-- second while it is busy: an event may have been delivered a moment before it shows here.

-- An id that this server has yet to reach is of an event that a dump has brought: none of those is late.
create function outbox.is_settled(s outbox.subscription, id bigint, txid xid8) returns boolean
language sql stable parallel safe
return id <= s.deep_floor
    or (id <= s.position and (pg_visible_in_snapshot(txid, s.snapshot)
                              or txid >= pg_snapshot_xmax(pg_current_snapshot())))
    or (id <= s.late_position and pg_visible_in_snapshot(txid, s.late_snapshot)) is true;
comment on function outbox.is_settled(outbox.subscription, bigint, xid8) is
    'Whether the cursor has passed an event.';

-- Whatever waits, a bounded number of events is looked at for each subscription, those that do not
-- match included: 10,000 up to the position, of which the late ones count, and 10,000 after it.
create view outbox.status as
select s.name as subscription, s.state, s.state_reason, s.url, s.event_types,
       w.lag_events, coalesce(extract(epoch from clock_timestamp() - w.oldest), 0)::numeric(12, 1) as lag_seconds,
       d.retrying, d.blocked, d.dead, s.breaker,
       coalesce(case when d.last_attempt_at > s.last_error_at or s.last_error_at is null
                     then d.last_error end, s.last_error) as last_error,
       greatest(s.last_error_at, case when d.last_error is not null then d.last_attempt_at end) as last_error_at,
       s.position, s.epoch
  from outbox.subscription s
       cross join lateral (
           select case when p.seen > 10000
                       then (select max(e.id) from outbox.event e) - s.position
                       else p.matching
                  end + l.matching as lag_events,
                  least(l.oldest, p.oldest, case when p.seen > 10000 and p.oldest is null then p.newest end) as oldest
             from (select count(*) as matching, min(r.created_at) as oldest
                     from outbox.event r
                    where r.id > greatest(s.floor, s.position - 10000) and r.id <= s.position
                      and not outbox.is_settled(s, r.id, r.txid) and outbox.matches(s.event_types, r.event_type)) l,
                  (select sum(t.seen) as seen,
                          coalesce(sum(t.seen) filter (where t.matches), 0)::bigint as matching,
                          min(t.oldest) filter (where t.matches) as oldest, max(t.newest) as newest
                     from (select count(*) as seen, min(r.created_at) as oldest, max(r.created_at) as newest,
                                  outbox.matches(s.event_types, r.event_type)
                             from (select e.event_type, e.created_at
                                     from outbox.event e
                                    where e.id > s.position
                                    order by e.id
                                    limit 10001) r
                            group by r.event_type) t) p) w
       cross join lateral (
           select count(*) filter (where x.status = 'retrying') as retrying,
                  count(*) filter (where x.status = 'blocked') as blocked,
                  count(*) filter (where x.status = 'dead') as dead,
                  max(x.last_attempt_at) as last_attempt_at,
                  (array_agg(x.last_error order by x.last_attempt_at desc nulls last))[1] as last_error
             from outbox.delivery x
            where x.subscription = s.name) d
 order by s.name;

comment on view outbox.status is 'One row for each subscription: how far behind, what is parked, why.';
comment on column outbox.status.subscription is 'Name.';
comment on column outbox.status.state is 'active, paused or disabled.';
comment on column outbox.status.state_reason is 'Why it is paused or disabled.';
comment on column outbox.status.url is 'Callback.';
comment on column outbox.status.event_types is 'Filter.';
comment on column outbox.status.lag_events is
    'Matching events the cursor has not passed; when more than 10,000 events of any type come after it, the distance of the ids, which is at least as much.';
comment on column outbox.status.lag_seconds is
    'Age of the oldest of them, 0 when there is none; when none of the 10,000 events after the cursor matches, the age of the one after those, which is at least as much.';
comment on column outbox.status.retrying is 'Refused events that are retried.';
comment on column outbox.status.blocked is 'Events that wait behind a refused one of their key.';
comment on column outbox.status.dead is 'Events given up.';
comment on column outbox.status.breaker is 'open while the endpoint is down.';
comment on column outbox.status.last_error is 'Latest failure, of the endpoint or of an event.';
comment on column outbox.status.last_error_at is 'When that was.';
comment on column outbox.status.position is 'Largest id the cursor has passed.';
comment on column outbox.status.epoch is 'Epoch of the relay that wrote the cursor last.';

create view outbox.event_status as
select s.name as subscription,
       e.id, e.event_id, e.aggregate_type, e.aggregate_id, e.event_type, e.created_at,
       coalesce(d.status, case when outbox.is_settled(s, e.id, e.txid) then 'delivered' else 'pending' end) as status,
       d.attempts, d.next_attempt_at, d.last_attempt_at, d.last_status, d.last_error,
       e.payload, e.headers
  from outbox.event e
       join outbox.subscription s on outbox.matches(s.event_types, e.event_type) and e.id > s.start_position
       left join outbox.delivery d on d.subscription = s.name and d.id = e.id
union all
select d.subscription, d.id, d.event_id, d.aggregate_type, d.aggregate_id, d.event_type, d.created_at,
       d.status, d.attempts, d.next_attempt_at, d.last_attempt_at, d.last_status, d.last_error,
       d.payload, d.headers
  from outbox.delivery d
 where not exists (select from outbox.event e
                     join outbox.subscription s on s.name = d.subscription
                    where e.id = d.id and outbox.matches(s.event_types, e.event_type)
                      and e.id > s.start_position);

comment on view outbox.event_status is
    'Event by subscription: delivered, pending, retrying, blocked or dead. Give it an event_id or a range of ids.';
comment on column outbox.event_status.subscription is 'Who is to receive it.';
comment on column outbox.event_status.id is 'outbox.event.id';
comment on column outbox.event_status.event_id is 'Identity of the event.';
comment on column outbox.event_status.aggregate_type is 'Kind of thing it is about.';
comment on column outbox.event_status.aggregate_id is 'Which one.';
comment on column outbox.event_status.event_type is 'What happened.';
comment on column outbox.event_status.created_at is 'When it was emitted.';
comment on column outbox.event_status.status is 'delivered, pending, retrying, blocked or dead.';
comment on column outbox.event_status.attempts is 'Refused attempts, of a parked event.';
comment on column outbox.event_status.next_attempt_at is 'Next attempt, of a retrying event.';
comment on column outbox.event_status.last_attempt_at is 'Last attempt, of a parked event.';
comment on column outbox.event_status.last_status is 'HTTP status of the last attempt; 0: no answer.';
comment on column outbox.event_status.last_error is 'What the receiver said.';
comment on column outbox.event_status.payload is 'The event''s data.';
comment on column outbox.event_status.headers is 'Its context.';

create view outbox.secret_status as
select k.id, k.subscription,
       case when k.value like 'whsec\_%' then 'value' else k.value end as kept_as,
       case when k.value like 'whsec\_%' then left(encode(sha256(convert_to(k.value, 'UTF8')), 'hex'), 12) end as fingerprint,
       k.created_at, k.valid_until,
       k.valid_until is null or k.valid_until > now() as valid
  from outbox.secret k;
comment on view outbox.secret_status is 'Which secrets there are, without their values.';
comment on column outbox.secret_status.id is 'outbox.secret.id';
comment on column outbox.secret_status.subscription is 'Whose secret it is.';
comment on column outbox.secret_status.kept_as is 'value when it is in the table, else the reference.';
comment on column outbox.secret_status.fingerprint is 'First 12 digits of the SHA-256 of the whsec_ text.';
comment on column outbox.secret_status.created_at is 'When it was added.';
comment on column outbox.secret_status.valid_until is 'When it stops to sign.';
comment on column outbox.secret_status.valid is 'Whether it signs now.';
