-- The RSA keys that sign tokens, shared by all replicas. The newest one whose signs_from has come
-- signs; older ones stay published until the last token they signed has expired.
create table signing_key (
    kid         text primary key,
    private_key text not null,
    public_jwk  jsonb not null,
    created_at  timestamptz not null default now(),
    signs_from  timestamptz not null default now(),
    retiring    boolean not null default false
);
create index signing_key_signs_from on signing_key (signs_from);

comment on table signing_key is
    'RSA key pairs for tokens (RS256). The service makes the first one, and a successor when the newest is old or retiring. Deleting a row voids the tokens that it signed.';
comment on column signing_key.kid is
    'Key id in the token''s header: the SHA-256 thumbprint of the public key (RFC 7638).';
comment on column signing_key.private_key is 'PEM, PKCS #8. A secret: never leaves the auth service.';
comment on column signing_key.public_jwk is 'The public half as published under /jwk.';
comment on column signing_key.created_at is 'When the key pair was made.';
comment on column signing_key.signs_from is
    'From when it signs: later than created_at for a successor, so that every replica publishes it first.';
comment on column signing_key.retiring is
    'True: the running service is to make a successor (see rotate_signing_key).';

create function rotate_signing_key() returns text
language sql
begin atomic
    update signing_key set retiring = true
    where kid = (select kid from signing_key order by signs_from desc, created_at desc limit 1)
    returning kid;
end;
comment on function rotate_signing_key() is
    'Asks the running service for a new signing key and returns the kid it will replace. The new key is published within JWT_KEY_RELOAD_S and signs soon after; the old one still verifies until its last token has expired.';
