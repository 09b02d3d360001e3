-- Orders with their items, what was paid for them, and the service's own copies of products and
-- prices, which arrive as events.

create table orders (
    order_id   bigint generated always as identity primary key,
    user_id    bigint not null check (user_id > 0),
    status     text not null default 'NEW'
               check (status in ('NEW', 'CONFIRMED', 'COMPLETED', 'REJECTED')),
    total      numeric(14,2) not null default 0 check (total >= 0),
    version    bigint not null default 1 check (version > 0),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
comment on table orders is 'One row per order. Lock it (for update) before its items and payments.';
comment on column orders.order_id is 'Identity; key of all order.* events.';
comment on column orders.user_id is 'Owner: the user''s id in the auth service.';
comment on column orders.status is 'NEW -> CONFIRMED -> COMPLETED; NEW or CONFIRMED -> REJECTED.';
comment on column orders.total is 'Sum of the items'' totals.';
comment on column orders.version is
    'Rises by one with each event of the order, so that a consumer can tell a late event.';
comment on column orders.created_at is 'When the order was made.';
comment on column orders.updated_at is 'When the order last changed.';

create index orders_user on orders (user_id, order_id);
create index orders_status on orders (status, order_id);
create index orders_total on orders (total, order_id);
create index orders_created on orders (created_at, order_id);
create index orders_updated on orders (updated_at, order_id);

create table order_item (
    order_id   bigint not null references orders,
    product_id bigint not null check (product_id > 0),
    quantity   bigint not null check (quantity > 0),
    total      numeric(14,2) not null check (total >= 0),
    primary key (order_id, product_id)
);
comment on table order_item is 'One row per product of an order.';
comment on column order_item.order_id is 'The order.';
comment on column order_item.product_id is 'Product id of the product service.';
comment on column order_item.quantity is 'Units ordered.';
comment on column order_item.total is
    'Price of all units: line_total() at the time the item last changed.';

create table payment (
    bill_id    bigint primary key,
    order_id   bigint not null references orders,
    total      numeric(14,2) not null,
    refusal    text check (refusal in ('order_rejected', 'order_completed', 'total_mismatch')),
    created_at timestamptz not null default now()
);
comment on table payment is
    'Each payment billing has told of, and what became of it: a second telling changes nothing.';
comment on column payment.bill_id is 'The bill that was paid (billing''s id).';
comment on column payment.order_id is 'The order it was paid for.';
comment on column payment.total is 'The sum paid.';
comment on column payment.refusal is 'Why the payment was refused; null: it completed the order.';
comment on column payment.created_at is 'When the payment was heard of.';

create unique index payment_accepted on payment (order_id) where refusal is null;
create index payment_order on payment (order_id);

create table product_copy (
    product_id bigint primary key,
    archived   boolean not null,
    version    bigint not null
);
comment on table product_copy is 'What the order service must know of a product, from its events.';
comment on column product_copy.product_id is 'Product id of the product service.';
comment on column product_copy.archived is 'An archived product can''t be added to an order.';
comment on column product_copy.version is 'Version of the product; an older event changes nothing.';

create table price_copy (
    product_id bigint primary key,
    version    bigint not null
);
comment on table price_copy is 'Which version of a product''s prices price_tier holds.';
comment on column price_copy.product_id is 'Product id of the product service.';
comment on column price_copy.version is 'Version of the prices; an older event changes nothing.';

create table price_tier (
    product_id bigint not null references price_copy,
    quantity   bigint not null check (quantity > 0),
    value      numeric(14,2) not null check (value >= 0),
    primary key (product_id, quantity)
);
comment on table price_tier is 'Graduated prices: from this unit on, each unit costs this much.';
comment on column price_tier.product_id is 'The product.';
comment on column price_tier.quantity is 'The first unit the value holds for; the first tier has 1.';
comment on column price_tier.value is 'Price of one unit.';

create function line_total(p_product_id bigint, p_quantity bigint) returns numeric
language sql stable
as $$
    select sum(value * (least(last_unit, p_quantity) - quantity + 1))
    from (select quantity, value,
                 coalesce(lead(quantity) over (order by quantity) - 1, p_quantity) as last_unit
          from price_tier
          where product_id = p_product_id) tier
    where quantity <= p_quantity
$$;
comment on function line_total(bigint, bigint) is
    'Price of a quantity of a product: each unit at the tier it falls in, so that more never costs '
    'less. Null when the product has no price.';

create function money_text(p_money numeric) returns text
language sql immutable strict
as $$
    select trim_scale(p_money)::text
$$;
comment on function money_text(numeric) is
    'Money as it is written in JSON: without trailing zeros ("0", "99.9", "1000").';

create function order_state(p_order_id bigint) returns jsonb
language sql stable
as $$
    select jsonb_build_object(
        'orderId', order_id, 'userId', user_id, 'status', status, 'total', money_text(total),
        'version', version,
        'items', coalesce(
            (select jsonb_agg(jsonb_build_object('productId', product_id, 'quantity', quantity,
                                                 'total', money_text(i.total)) order by product_id)
             from order_item i where i.order_id = o.order_id),
            '[]'))
    from orders o
    where order_id = p_order_id
$$;
comment on function order_state(bigint) is
    'The whole state of an order, as all its events carry it. Null when there is none.';

create function emit_order(p_order_id bigint, p_event_type text, p_more jsonb, p_headers jsonb)
returns uuid
language sql
as $$
    select outbox.emit('order', p_order_id::text, p_event_type,
                       order_state(p_order_id) || coalesce(p_more, '{}'),
                       coalesce(p_headers, '{}'))
$$;
comment on function emit_order(bigint, text, jsonb, jsonb) is
    'Emits an event of the order: its state as it is now and what the event says beyond it.';
