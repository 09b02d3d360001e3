select pg_notify('bench', '');
