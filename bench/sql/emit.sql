-- An event by the outbox. :key is of the aggregate.
select outbox.emit('order', :key::text, 'order.created', '{"orderId": 4711, "userId": 42, "status": "NEW", "version": 1, "total": "1999.9", "items": [{"productId": 7, "quantity": 3, "total": "999.9"}, {"productId": 1, "quantity": 1, "total": "1000"}]}');
