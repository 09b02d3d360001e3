-- A row into a plain table, as a hand-made outbox would do it.
insert into bench.plain (txid, event_id, aggregate_type, aggregate_id, event_type, created_at, size, payload, headers)
values (pg_current_xact_id(), gen_random_uuid(), 'order', :key::text, 'order.created', clock_timestamp(), 200, '{"orderId": 4711, "userId": 42, "status": "NEW", "version": 1, "total": "1999.9", "items": [{"productId": 7, "quantity": 3, "total": "999.9"}, {"productId": 1, "quantity": 1, "total": "1000"}]}', '{}');
