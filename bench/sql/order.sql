insert into bench.orders (user_id, status, total) values (:key, 'NEW', 1999.9) returning id as key \gset
