-- The state that a service changes together with its event: :key becomes the order's id.
insert into bench.orders (user_id, status, total) values (:key, 'NEW', 1999.9) returning id as key \gset
