-- Accounts as a ledger, bills of orders, and the state of each order as last heard of.

create table account (
    account_id bigint generated always as identity primary key,
    user_id    bigint not null unique check (user_id > 0),
    balance    numeric(14,2) not null default 0 check (balance >= 0),
    added      numeric(14,2) not null default 0 check (added >= balance),
    created_at timestamptz not null default now()
);
comment on table account is
    'One account per user. Changed by post_entry() only. Lock order: account, order_copy, bill.';
comment on column account.account_id is 'Identity; key of billing.moneyadded.';
comment on column account.user_id is 'Owner: the user''s id in the auth service.';
comment on column account.balance is 'The sum of the account''s ledger entries; never below zero.';
comment on column account.added is
    'All the money ever added. Its type bounds it, so that a refund always fits into the balance.';
comment on column account.created_at is 'When the account was opened.';

create table order_copy (
    order_id bigint primary key,
    user_id  bigint not null,
    status   text not null check (status in ('NEW', 'CONFIRMED', 'COMPLETED', 'REJECTED')),
    total    numeric(14,2) not null check (total >= 0),
    version  bigint not null
);
comment on table order_copy is
    'The newest state of each order heard of, in whatever order its events came.';
comment on column order_copy.order_id is 'Order id of the order service.';
comment on column order_copy.user_id is 'Owner of the order.';
comment on column order_copy.status is 'Status of the order.';
comment on column order_copy.total is 'Total of the order.';
comment on column order_copy.version is 'Version of the order; an older event changes nothing.';

create table bill (
    bill_id       bigint generated always as identity primary key,
    account_id    bigint not null references account,
    order_id      bigint not null references order_copy,
    status        text not null default 'CREATED'
                  check (status in ('CREATED', 'COMPLETED', 'REJECTED', 'REFUNDED')),
    total         numeric(14,2) not null check (total >= 0),
    order_version bigint not null,
    created_at    timestamptz not null default now(),
    updated_at    timestamptz not null default now()
);
comment on table bill is 'What is to be paid, or was paid, for an order.';
comment on column bill.bill_id is 'Identity; key of billing.paymentcompleted and paymentrefunded.';
comment on column bill.account_id is 'The account it is paid from.';
comment on column bill.order_id is 'The order it is for.';
comment on column bill.status is
    'CREATED -> COMPLETED (paid) -> REFUNDED; CREATED -> REJECTED (the order was).';
comment on column bill.total is 'The sum; follows the order until the bill is paid.';
comment on column bill.order_version is 'The order''s version that the total is of.';
comment on column bill.created_at is 'When the bill was made.';
comment on column bill.updated_at is 'When the bill last changed.';

create unique index bill_live on bill (order_id) where status in ('CREATED', 'COMPLETED');
comment on index bill_live is 'An order has at most one bill that is open or paid.';
create index bill_account on bill (account_id, bill_id);
create index bill_order on bill (order_id, bill_id);

create table ledger_entry (
    entry_id      bigint generated always as identity primary key,
    account_id    bigint not null references account,
    amount        numeric(14,2) not null check (amount <> 0),
    kind          text not null,
    bill_id       bigint references bill,
    balance_after numeric(14,2) not null check (balance_after >= 0),
    created_at    timestamptz not null default now(),
    check (case kind when 'ADDED' then amount > 0 and bill_id is null
                     when 'PAYMENT' then amount < 0 and bill_id is not null
                     when 'REFUND' then amount > 0 and bill_id is not null
                     else false end)
);
comment on table ledger_entry is 'Every change of a balance. Append-only; written by post_entry().';
comment on column ledger_entry.entry_id is 'Identity.';
comment on column ledger_entry.account_id is 'The account.';
comment on column ledger_entry.amount is 'What the balance rose by; negative when it fell.';
comment on column ledger_entry.kind is 'ADDED by the user, PAYMENT of a bill, REFUND of a bill.';
comment on column ledger_entry.bill_id is 'The bill paid or refunded; null for money added.';
comment on column ledger_entry.balance_after is 'The balance this entry led to.';
comment on column ledger_entry.created_at is 'When it was posted.';

create index ledger_entry_account on ledger_entry (account_id, entry_id);
create unique index ledger_entry_bill on ledger_entry (bill_id, kind) where bill_id is not null;
comment on index ledger_entry_bill is 'A bill is paid at most once and refunded at most once.';

create function refuse_change() returns trigger
language plpgsql
as $$
begin
    raise exception 'table % is append-only', tg_table_name;
end
$$;
comment on function refuse_change() is 'Trigger: keeps rows as they were written.';

create trigger ledger_entry_append_only
    before update or delete or truncate on ledger_entry
    for each statement execute function refuse_change();

create function post_entry(
    p_account_id bigint, p_amount numeric, p_kind text, p_bill_id bigint default null)
returns ledger_entry
language sql
as $$
    with changed as (
        update account
        set balance = balance + p_amount,
            added = added + case p_kind when 'ADDED' then p_amount else 0 end
        where account_id = p_account_id
        returning balance)
    insert into ledger_entry (account_id, amount, kind, bill_id, balance_after)
    select p_account_id, p_amount, p_kind, p_bill_id, balance
    from changed
    returning *
$$;
comment on function post_entry(bigint, numeric, text, bigint) is
    'Changes a balance and writes its ledger entry: the only way to move money. Fails with '
    'numeric_value_out_of_range when too much is added, check_violation below zero.';

create view ledger_error as
    select account_id, balance, added, entries, entries_added
    from account
    cross join lateral (
        select coalesce(sum(amount), 0) as entries,
               coalesce(sum(amount) filter (where kind = 'ADDED'), 0) as entries_added
        from ledger_entry e
        where e.account_id = account.account_id) ledger
    where balance <> entries or added <> entries_added;
comment on view ledger_error is
    'Accounts whose balance is not the sum of their entries. Must be empty; for audits and tests.';

create function money_text(p_money numeric) returns text
language sql immutable strict
as $$
    select trim_scale(p_money)::text
$$;
comment on function money_text(numeric) is
    'Money as it is written in JSON: without trailing zeros ("0", "99.9", "1000").';

create function emit_bill(p_bill_id bigint, p_event_type text, p_more jsonb, p_headers jsonb)
returns uuid
language sql
as $$
    select outbox.emit(
        'bill', p_bill_id::text, p_event_type,
        jsonb_build_object('userId', user_id, 'accountId', account_id, 'billId', bill_id,
                           'orderId', order_id, 'total', money_text(total))
            || coalesce(p_more, '{}'),
        coalesce(p_headers, '{}'))
    from bill join account using (account_id)
    where bill_id = p_bill_id
$$;
comment on function emit_bill(bigint, text, jsonb, jsonb) is
    'Emits an event of the bill: the bill as it is now and what the event says beyond it.';
