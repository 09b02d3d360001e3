-- Contact data, one row for each user.
create table profile (
    profile_id bigint generated always as identity primary key,
    user_id    bigint not null unique check (user_id > 0),
    first_name text not null default '' check (char_length(first_name) <= 100),
    last_name  text not null default '' check (char_length(last_name) <= 100),
    email      text not null default '' check (char_length(email) <= 254),
    phone      text not null default '' check (char_length(phone) <= 32),
    version    bigint not null default 1 check (version > 0),
    created_at timestamptz not null default now(),
    changed_at timestamptz not null default now()
);

comment on table profile is 'Contact data of a user; made empty when the user registers.';
comment on column profile.profile_id is 'The profile''s own id.';
comment on column profile.user_id is 'The user it belongs to: credential.id of the auth service.';
comment on column profile.first_name is 'Given name; empty when not told.';
comment on column profile.last_name is 'Family name; empty when not told.';
comment on column profile.email is 'E-mail address, lightly checked and never confirmed; empty when not told.';
comment on column profile.phone is 'Telephone number as typed; empty when not told.';
comment on column profile.version is
    'Rises by one with each change; user.profilechanged carries it, so that an overtaken event is known as such.';
comment on column profile.created_at is 'When the row was made, by the event or by the first change.';
comment on column profile.changed_at is 'When it was last changed.';
