-- Messages to users about their orders.

create table notification (
    id bigint generated always as identity primary key,
    user_id bigint not null,
    order_id bigint not null,
    event_id uuid not null,
    event_type text not null,
    event_data jsonb not null,
    created_at timestamptz not null default now(),
    unique (order_id, event_type)
);

create index notification_user_idx on notification (user_id, id);

comment on table notification is 'Messages to users: one for each order and type of event.';
comment on column notification.id is
    'Identifier; within one user it rises in the order in which messages become visible.';
comment on column notification.user_id is 'User the message is for.';
comment on column notification.order_id is 'Order the message is about.';
comment on column notification.event_id is 'Event that caused the message.';
comment on column notification.event_type is 'Type of that event, such as order.completed.';
comment on column notification.event_data is 'Data of that event: the full state of the order.';
comment on column notification.created_at is 'When the message was entered.';
comment on index notification_user_idx is 'The messages of a user, oldest first.';

-- An identity value is drawn before its transaction commits: of two messages entered at the same
-- time the one with the larger id may be visible first, and whoever then asks for what comes after
-- it would never see the other. So those who enter a message for a user share a lock on that user,
-- from before the id is drawn until they commit, and a reader waits for them. They never wait for
-- each other, which a batch of many users' messages could turn into a deadlock.

create function notification_lock_key(user_id bigint) returns bigint
    language sql immutable parallel safe
    return hashtextextended('notification of user ' || user_id, 0);

comment on function notification_lock_key(bigint) is
    'Key of the advisory lock between those who enter and those who list a user''s messages.';

create function add_notification(for_user bigint, about_order bigint, event uuid, type text,
    data jsonb) returns void
    language plpgsql
    as $$
begin
    perform pg_advisory_xact_lock_shared(notification_lock_key(for_user));
    insert into notification (user_id, order_id, event_id, event_type, event_data)
        values (for_user, about_order, event, type, data)
        on conflict (order_id, event_type) do nothing;
end
$$;

comment on function add_notification(bigint, bigint, uuid, text, jsonb) is
    'Enters a message, once for each order and type of event.';

create function list_notifications(of_user bigint, after_id bigint, page bigint, size bigint)
    returns json
    language plpgsql
    as $$
begin
    perform pg_advisory_xact_lock(notification_lock_key(of_user));
    -- A statement of its own, so that its snapshot is taken when the lock is held.
    return (
        select coalesce(
            json_agg(
                json_build_object(
                    'id', id, 'userId', user_id, 'orderId', order_id, 'eventId', event_id,
                    'eventType', event_type, 'eventData', event_data)
                order by id),
            '[]')
        from (
            select * from notification
            where user_id = of_user and id > after_id
            order by id
            limit size offset page * size) listed);
end
$$;

comment on function list_notifications(bigint, bigint, bigint, bigint) is
    'A page (from 0) of a user''s messages with ids above after_id, oldest first, as JSON.';
