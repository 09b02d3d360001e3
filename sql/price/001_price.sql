-- Prices by quantity, with their history, and the service's own copy of what it must know of
-- products.

create table product (
    product_id bigint primary key,
    archived boolean not null,
    version bigint not null
);

comment on table product is 'Copy of the product service''s products, filled by its events.';
comment on column product.product_id is 'Identifier of the product.';
comment on column product.archived is 'No longer sold: its prices can''t be changed.';
comment on column product.version is
    'Version of the product this row shows; an event with a lower one is ignored.';

create table price_list (
    product_id bigint primary key check (product_id > 0),
    version bigint not null default 1
);

comment on table price_list is
    'One row for each product that ever had prices; its row lock puts their changes in order.';
comment on column price_list.product_id is
    'Identifier of the product; no reference, for the copy may come later than the prices.';
comment on column price_list.version is
    'Rises by one with each change and travels in price.changed.';

create table price (
    price_id bigint generated always as identity primary key,
    product_id bigint not null references price_list,
    quantity integer not null check (quantity > 0),
    value numeric(14, 2) not null check (value >= 0),
    from_date timestamptz not null,
    to_date timestamptz check (to_date >= from_date)
);

create unique index price_current_idx on price (product_id, quantity) where to_date is null;
create index price_product_id_idx on price (product_id);

comment on table price is
    'Tiers: each unit costs the value of the tier it falls in. Replaced ones stay, as history.';
comment on column price.price_id is 'Identifier of the price.';
comment on column price.product_id is 'Product that has the price.';
comment on column price.quantity is 'The tier begins with this unit, counted from 1.';
comment on column price.value is 'Price of one unit in this tier.';
comment on column price.from_date is 'When the price came into force.';
comment on column price.to_date is 'When it was replaced; null while it is in force.';
comment on index price_current_idx is 'The prices in force, by product and quantity.';
comment on index price_product_id_idx is 'The history of a product.';

-- The time is taken after the row lock, not at the start of the transaction, so that the periods
-- of two concurrent changes follow each other; a clock set back does not turn a period around.
create function set_prices(id bigint, prices jsonb, headers jsonb default '{}') returns uuid
    language plpgsql
    as $$
declare
    new_version bigint;
    now_date timestamptz;
    tiers jsonb;
begin
    insert into price_list as list (product_id) values (id)
        on conflict (product_id) do update set version = list.version + 1
        returning list.version into new_version;
    select greatest(clock_timestamp(), max(from_date)) into now_date
        from price where product_id = id and to_date is null;
    update price set to_date = now_date where product_id = id and to_date is null;
    with tier as (
        insert into price (product_id, quantity, value, from_date)
        select id, (item ->> 'quantity')::integer, (item ->> 'value')::numeric, now_date
            from jsonb_array_elements(prices) item
            order by 2
        returning quantity, value)
    select jsonb_agg(
            jsonb_build_object('quantity', quantity, 'value', trim_scale(value)::text)
            order by quantity)
        into tiers from tier;
    return outbox.emit('price', id::text, 'price.changed',
        jsonb_build_object('productId', id, 'version', new_version, 'prices', tiers), headers);
end
$$;

comment on function set_prices(bigint, jsonb, jsonb) is
    'Sets a product''s prices, [{"quantity", "value"}], emits price.changed and returns its id.';
