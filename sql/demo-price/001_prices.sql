-- Demo data: prices of the demo products 1 to 20. The copies of the products may come later, by
-- event. Products that have prices are left alone.

select count(set_prices(demo.product_id, demo.prices::jsonb))
from (
    values
    (1, '[{"quantity": 1, "value": "24.9"}, {"quantity": 5, "value": "22.5"}, {"quantity": 20, "value": "19.9"}]'),
    (2, '[{"quantity": 1, "value": "16.5"}, {"quantity": 6, "value": "14.9"}]'),
    (3, '[{"quantity": 1, "value": "18"}, {"quantity": 4, "value": "16.2"}]'),
    (4, '[{"quantity": 1, "value": "39.95"}]'),
    (5, '[{"quantity": 1, "value": "89"}, {"quantity": 3, "value": "82.5"}]'),
    (6, '[{"quantity": 1, "value": "21.9"}, {"quantity": 10, "value": "18.9"}, {"quantity": 50, "value": "15.9"}, {"quantity": 200, "value": "12.5"}]'),
    (7, '[{"quantity": 1, "value": "17.5"}]'),
    (8, '[{"quantity": 1, "value": "3.49"}, {"quantity": 10, "value": "2.99"}, {"quantity": 100, "value": "2.29"}]'),
    (9, '[{"quantity": 1, "value": "45"}]'),
    (10, '[{"quantity": 1, "value": "79.9"}, {"quantity": 5, "value": "74.9"}]'),
    (11, '[{"quantity": 1, "value": "119"}]'),
    (12, '[{"quantity": 1, "value": "64"}, {"quantity": 4, "value": "58"}]'),
    (13, '[{"quantity": 1, "value": "54.95"}]'),
    (14, '[{"quantity": 1, "value": "149"}, {"quantity": 2, "value": "139"}]'),
    (15, '[{"quantity": 1, "value": "49.9"}]'),
    (16, '[{"quantity": 1, "value": "13.9"}, {"quantity": 6, "value": "12.5"}, {"quantity": 12, "value": "11.2"}]'),
    (17, '[{"quantity": 1, "value": "6.8"}, {"quantity": 12, "value": "5.95"}]'),
    (18, '[{"quantity": 1, "value": "27"}, {"quantity": 3, "value": "24.5"}]'),
    (19, '[{"quantity": 1, "value": "42.5"}]'),
    (20, '[{"quantity": 1, "value": "100"}]')
) demo (product_id, prices)
where not exists (select from price_list list where list.product_id = demo.product_id);
