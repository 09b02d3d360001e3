-- Who may log in. The key of a username is what makes it unique: NFKC folds look-alike encodings
-- (full-width letters, composed accents), and letters A to Z compare without case, in the same way
-- whatever the locale of the cluster.
create table credential (
    id                  bigint generated always as identity primary key,
    username            text not null
        check (char_length(username) between 1 and 100 and octet_length(username) <= 256),
    username_key        text not null unique
        generated always as (lower(normalize(username, nfkc) collate "C")) stored,
    role                text not null check (role in ('USER', 'ADMIN')),
    password_hash       text not null check (password_hash like '$argon2id$%'),
    password_version    integer not null default 1 check (password_version > 0),
    created_at          timestamptz not null default now(),
    password_changed_at timestamptz not null default date_trunc('second', now())
);

comment on table credential is 'Login and password data of every user and administrator.';
comment on column credential.id is 'The user id everywhere: the token''s sub, userId in events.';
comment on column credential.username is 'As the user typed it, 1 to 100 characters.';
comment on column credential.username_key is
    'What makes a username unique and finds it at login: NFKC, A to Z in lower case.';
comment on column credential.role is 'USER or ADMIN; never changes.';
comment on column credential.password_hash is
    'Argon2id in PHC text form, with its own salt and parameters. Leaves this table only to be compared.';
comment on column credential.password_version is
    'Rises with each change of the password, not with a rehash under new parameters.';
comment on column credential.created_at is 'When the user registered.';
comment on column credential.password_changed_at is
    'Tokens issued before (in whole seconds, rounded up) are not refreshed. Whole second at first.';
