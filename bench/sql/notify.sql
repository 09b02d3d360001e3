-- What wakes relays that LISTEN, usually with each row.
select pg_notify('bench', '');
