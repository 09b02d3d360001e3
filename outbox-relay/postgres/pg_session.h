/* What a role, a database or a server may set by default, and must not change what is done here.
 * docs/mechanisms/connections.md has the table with the reasons. */
#ifndef RELAY_PG_SESSION_H
#define RELAY_PG_SESSION_H

/* A statement. `local`: "true" for the transaction under way, "false" for the session. */
#define PG_FIXED_SETTINGS(local) \
    "select pg_catalog.set_config(name, value, " local ") from (values" \
    " ('search_path', 'pg_catalog')," \
    " ('statement_timeout', '60s')," \
    " ('lock_timeout', '0')," \
    " ('idle_in_transaction_session_timeout', '30s')," \
    " ('transaction_timeout', '0')," \
    " ('synchronous_commit', 'on')," \
    " ('datestyle', 'ISO, YMD')," \
    " ('intervalstyle', 'postgres')," \
    " ('bytea_output', 'hex')," \
    " ('extra_float_digits', '1')," \
    " ('standard_conforming_strings', 'on')," \
    " ('array_nulls', 'on')," \
    " ('transform_null_equals', 'off')," \
    " ('quote_all_identifiers', 'off')," \
    " ('client_min_messages', 'warning')," \
    " ('jit', 'off')," \
    " ('enable_indexscan', 'on')," \
    " ('enable_indexonlyscan', 'on')," \
    " ('enable_partition_pruning', 'on')," \
    " ('max_parallel_workers_per_gather', '0')" \
    ") as fixed (name, value)" \
    " where name <> 'transaction_timeout'" \
    " or pg_catalog.current_setting('server_version_num')::int >= 170000"

/* For a session of one's own: two strings for the setup of a connection, in this order. A time
 * limit counts from the beginning of a string, so it has one of its own. */
#define PG_FIX_TIME_LIMIT "set statement_timeout = '60s'"
#define PG_FIX_SESSION \
    "set jit = off;" \
    "set default_transaction_isolation = 'read committed';" \
    "set default_transaction_read_only = off;" \
    "set default_transaction_deferrable = off;" \
    "set idle_session_timeout = 0;" PG_FIXED_SETTINGS("false")

/* For the transaction under way, where a proxy may pass the session on: a statement. */
#define PG_FIX_TRANSACTION PG_FIXED_SETTINGS("true")

/* Before it, unless the transaction has begun with its own: statements without LOCAL, which would
 * warn outside of a block, and yet for this transaction only. */
#define PG_FIX_ISOLATION "set transaction_isolation = 'read committed'"
#define PG_FIX_READ_WRITE "set transaction_read_only = off"

#endif
