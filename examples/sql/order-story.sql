-- The story of one order across all databases, as a timeline. As a superuser, since the services'
-- roles can enter only their own database:
--     scripts/stack psql '' -v order=42 -f examples/sql/order-story.sql

\if :{?order}
\else
    \echo 'usage: psql -v order=ORDER_ID -f order-story.sql'
    \quit
\endif
-- Where to return to: the script goes from database to database, and carries what it has found in
-- psql variables.
\set came_from :DBNAME
\set was_quiet :QUIET
\set QUIET on

\connect -reuse-previous=on order
\echo 'The order'
select order_id, user_id, status, total, version, created_at, updated_at
  from orders where order_id = :order;
select product_id, quantity, total from order_item where order_id = :order order by product_id;

select coalesce(jsonb_agg(jsonb_build_object(
           'id', event_id, 'at', created_at, 'type', event_type,
           'detail', format('%s, total %s, version %s', payload->>'status', payload->>'total',
                            payload->>'version'))), '[]') as order_events
  from outbox.event
 where aggregate_type = 'order' and aggregate_id = :'order' \gset

select coalesce(jsonb_agg(jsonb_build_object(
           'id', event_id, 'subscription', subscription, 'status', status)), '[]') as order_deliveries
  from outbox.event_status
 where aggregate_type = 'order' and aggregate_id = :'order' \gset

\connect -reuse-previous=on billing
\echo 'Its bills'
select b.bill_id, b.account_id, b.status, b.total, b.order_version, b.created_at, b.updated_at
  from bill b where b.order_id = :order order by b.bill_id;
\echo 'What they moved on the account'
select l.entry_id, l.kind, l.amount, l.balance_after, l.created_at
  from ledger_entry l join bill b using (bill_id)
 where b.order_id = :order order by l.entry_id;

select coalesce(jsonb_agg(jsonb_build_object(
           'id', event_id, 'at', created_at, 'type', event_type,
           'detail', format('bill %s, total %s', payload->>'billId', payload->>'total'))), '[]')
           as billing_events
  from outbox.event
 where event_type like 'billing.payment%' and payload->>'orderId' = :'order' \gset

select coalesce(jsonb_agg(jsonb_build_object(
           'id', event_id, 'subscription', subscription, 'status', status)), '[]') as billing_deliveries
  from outbox.event_status
 where event_type like 'billing.payment%' and payload->>'orderId' = :'order' \gset

select coalesce(jsonb_agg(jsonb_build_object('id', event_id, 'at', received_at, 'by', 'billing')), '[]')
           as billing_inbox
  from inbox.message
 where event_id in (select (e->>'id')::uuid from jsonb_array_elements(:'order_events') e) \gset

\connect -reuse-previous=on order
select coalesce(jsonb_agg(jsonb_build_object('id', event_id, 'at', received_at, 'by', 'order')), '[]')
           as order_inbox
  from inbox.message
 where event_id in (select (e->>'id')::uuid from jsonb_array_elements(:'billing_events') e) \gset

\connect -reuse-previous=on notification
\echo 'What the user was told'
select id, event_type, created_at from notification where order_id = :order order by id;

select coalesce(jsonb_agg(jsonb_build_object('id', event_id, 'at', received_at, 'by', 'notification')), '[]')
           as notification_inbox
  from inbox.message
 where event_id in (select (e->>'id')::uuid from jsonb_array_elements(:'order_events') e) \gset

\connect -reuse-previous=on :came_from
\echo 'The timeline: each event, and what became of it'
with event as (
    select 'order' as source, * from jsonb_to_recordset(:'order_events')
        as e(id uuid, at timestamptz, type text, detail text)
    union all
    select 'billing', * from jsonb_to_recordset(:'billing_events')
        as e(id uuid, at timestamptz, type text, detail text)
), arrival as (
    select * from jsonb_to_recordset(:'billing_inbox'::jsonb || :'order_inbox' || :'notification_inbox')
        as a(id uuid, at timestamptz, by text)
), delivery as (
    select * from jsonb_to_recordset(:'order_deliveries'::jsonb || :'billing_deliveries')
        as d(id uuid, subscription text, status text)
), step as (
    select at, source || ' emits ' || type as what, detail from event
    union all
    select a.at, a.by || ' takes ' || e.type,
           format('%s ms after it was emitted', round(extract(epoch from a.at - e.at) * 1000))
      from arrival a join event e using (id)
    union all
    select null, e.type || ' to ' || d.subscription, d.status
      from delivery d join event e using (id)
     where d.status <> 'delivered'
)
select to_char(at, 'HH24:MI:SS.MS') as time, what, detail
  from step
 order by at nulls last, what;

\set QUIET :was_quiet
