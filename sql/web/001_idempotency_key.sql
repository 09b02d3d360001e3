-- Answers of POST requests that carried an Idempotency-Key, kept for 24 hours.

create schema web;
comment on schema web is 'What a service keeps about its HTTP clients.';

create table web.idempotency_key (
    principal    text        not null,
    key          text        not null check (length(key) between 1 and 255),
    request_hash bytea       not null check (length(request_hash) = 32),
    status       smallint    check (status between 200 and 399),
    content_type text,
    body         text,
    created_at   timestamptz not null default now(),
    primary key (principal, key)
) with (fillfactor = 70); -- room for the update that adds the answer

create index idempotency_key_created_at on web.idempotency_key (created_at);

comment on table web.idempotency_key is
    'One row for each Idempotency-Key of a client: claimed first in the transaction of the request and completed with its answer, so that a row is seen by others only together with the effect.';
comment on column web.idempotency_key.principal is
    'Who sent it: role and user id of the token (USER:7), or anonymous with the path.';
comment on column web.idempotency_key.key is 'The header Idempotency-Key.';
comment on column web.idempotency_key.request_hash is
    'SHA-256 of method, path and SHA-256 of the body: the same key with another request is refused.';
comment on column web.idempotency_key.status is 'HTTP status of the answer.';
comment on column web.idempotency_key.content_type is 'Content-Type of the answer.';
comment on column web.idempotency_key.body is 'Body of the answer, given again to a repeat.';
comment on column web.idempotency_key.created_at is 'When the key was claimed; it holds for 24 hours.';

create function web.claim_idempotency_key(a_principal text, a_key text, a_request_hash bytea)
    returns boolean
    language sql
as $$
    insert into web.idempotency_key as k (principal, key, request_hash)
    values (a_principal, a_key, a_request_hash)
    on conflict (principal, key) do update
        set request_hash = excluded.request_hash,
            status = null,
            content_type = null,
            body = null,
            created_at = excluded.created_at
        where k.created_at < now() - interval '24 hours'
    returning true;
$$;
comment on function web.claim_idempotency_key(text, text, bytea) is
    'Claims a key for the current transaction: true when it is new or had expired, null when it is taken. Waits for a transaction in progress that has claimed the same key.';

create function web.clean_idempotency_keys(max_rows integer default 256)
    returns bigint
    language sql
as $$
    with expired as (
        select principal, key
        from web.idempotency_key
        where created_at < now() - interval '24 hours'
        order by created_at
        limit max_rows
        for update skip locked
    ), deleted as (
        delete from web.idempotency_key k
        using expired e
        where k.principal = e.principal and k.key = e.key
        returning 1
    )
    select count(*) from deleted;
$$;
comment on function web.clean_idempotency_keys(integer) is
    'Deletes at most max_rows expired keys, the oldest first; several callers do not wait for each other. Services call it now and then; it may also be called by hand.';
