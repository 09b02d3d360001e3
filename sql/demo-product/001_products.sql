-- Demo data: products 1 to 20. Entered as the service would, so that the copies of other services
-- fill by the events. Products that exist are left alone.

with demo (product_id, name, description) as (
    values
    (1, 'Espresso beans, 1 kg', 'Dark roast of Arabica and Robusta; chocolate and roasted hazelnut.'),
    (2, 'Filter coffee, 500 g', 'Light roast from Ethiopia, washed; bergamot and apricot.'),
    (3, 'Green tea, 250 g', 'Whole-leaf Sencha, steamed; fresh and slightly sweet.'),
    (4, 'Moka pot for 6 cups', 'Aluminium, for gas and electric stoves, with a spare gasket.'),
    (5, 'Coffee grinder', 'Hand grinder with conical steel burrs, adjustable from espresso to French press.'),
    (6, 'Double-walled mug, 350 ml', 'Stainless steel with a lid, keeps drinks hot for four hours.'),
    (7, 'Milk jug, 600 ml', 'Stainless steel with a fine spout for latte art.'),
    (8, 'Paper filters, 100 pieces', 'Size 4, unbleached.'),
    (9, 'Kitchen scale', 'Weighs to 0.1 g up to 3 kg, with a timer. Charges by USB-C.'),
    (10, 'Kettle, 1.2 l', 'Gooseneck kettle with a thermometer, 40 to 100 °C in steps of one degree.'),
    (11, 'Chef''s knife, 20 cm', 'Forged X50CrMoV15 steel, riveted handle, 56 HRC.'),
    (12, 'Cutting board, oak', 'End grain, 40 × 30 × 4 cm, oiled.'),
    (13, 'Frying pan, 28 cm', 'Carbon steel, pre-seasoned, for all stoves including induction.'),
    (14, 'Cast-iron pot, 5 l', 'Enamelled inside and outside, oven-safe to 250 °C.'),
    (15, 'Crème brûlée set', 'Four ramekins, rack and a refillable kitchen torch (sold without gas).'),
    (16, 'Olive oil, 0.5 l', 'Extra virgin, cold-pressed in October from Koroneiki olives.'),
    (17, 'Sea salt flakes, 250 g', 'Hand-harvested, in a resealable box.'),
    (18, 'Linen tea towels, 3 pieces', '100 % linen, 50 × 70 cm, washable at 60 °C.'),
    (19, 'Storage jars, 6 pieces', 'Borosilicate glass with bamboo lids, 0.3 to 2 l.'),
    (20, 'Gift voucher', 'Worth its face value for anything in the shop; valid for three years.')
), entered as (
    insert into product (product_id, name, description)
    select product_id, name, description from demo order by product_id
    on conflict (product_id) do nothing
    returning product
)
select count(emit_product(product, 'product.changed')) from entered;

-- The identity must go on behind the ids given above, and never back.
select setval(sequence, greatest(last_value, (select max(product_id) from product)))
from product_product_id_seq, pg_get_serial_sequence('product', 'product_id') sequence;
