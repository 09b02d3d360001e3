-- What a consumer remembers of the events it has handled.

create schema inbox;
comment on schema inbox is 'The consumer''s half of the outbox: makes redelivered events harmless.';

create table inbox.message (
    event_id    uuid        primary key,
    source      text        not null,
    event_type  text        not null,
    received_at timestamptz not null default now()
);

create index message_received_at on inbox.message (received_at);

comment on table inbox.message is
    'One row for each event that was handled or ignored, inserted in the transaction of its effect: an event whose id is here is not handled again. Rows are never updated.';
comment on column inbox.message.event_id is 'The CloudEvents id: event_id in the source''s outbox.event.';
comment on column inbox.message.source is 'The CloudEvents source, "/order".';
comment on column inbox.message.event_type is 'The CloudEvents type, "order.created".';
comment on column inbox.message.received_at is 'When its transaction began; see inbox.clean.';

create function inbox.clean(keep interval default interval '30 days', max_rows integer default 2000)
    returns bigint
    language sql
as $$
    with old as (
        select event_id
        from inbox.message
        where received_at < now() - keep
        order by received_at
        limit max_rows
        for update skip locked
    ), deleted as (
        delete from inbox.message m
        using old o
        where m.event_id = o.event_id
        returning 1
    )
    select count(*) from deleted;
$$;
comment on function inbox.clean(interval, integer) is
    'Forgets at most max_rows events received longer ago than keep. keep must be longer than the longest time after which the relay may deliver an event again: a callback whose answers were lost and that was then down. Services call it with the defaults after every 1,000 events.';
