"""The private PostgreSQL cluster that everything is measured on, and what is loaded into it."""

import subprocess
import time

from lib import pg, wait

# What a production server would have. The data is on tmpfs where there is room (see bench/run):
# fsync is on and every commit waits for it, but a virtual disk's luck is kept out of the figures.
SETTINGS = {
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "shared_buffers": "1GB",
    "max_wal_size": "8GB",
    "checkpoint_timeout": "30min",
    "autovacuum_naptime": "1min",
    "track_io_timing": "off",
    "logging_collector": "off",
}

LOAD_AT_ONCE = 100_000

HELPERS = """
create schema bench;

-- An order, as a shop would emit it; about 200 bytes as JSON text.
create function bench.payload(n bigint) returns jsonb
language sql immutable parallel safe
return jsonb_build_object(
    'orderId', n, 'userId', n % 5000, 'status', 'NEW', 'version', 1, 'total', '1999.9',
    'items', jsonb_build_array(
        jsonb_build_object('productId', n % 20 + 1, 'quantity', 3, 'total', '999.9'),
        jsonb_build_object('productId', n % 7 + 1, 'quantity', 1, 'total', '1000')));

-- {"orderId": n, "data": "…"} of about so many bytes, of text that does not compress.
create function bench.payload_of(n bigint, bytes integer) returns jsonb
language sql immutable parallel safe
return jsonb_build_object('orderId', n, 'data', left(
    (select string_agg(md5((n % 16) || '.' || i), '' order by i)
       from generate_series(1, bytes / 32 + 1) i), greatest(bytes - 30, 1)));
"""


class Cluster(pg.Cluster):
    """A cluster with the benchmark's settings; `database` is the publishing database."""

    database = "bench"

    def __init__(self, **settings):
        super().__init__(**{**SETTINGS, **settings})
        self.provision(self.database)
        self.execute(HELPERS)
        self.execute("grant usage on schema bench to public")

    @property
    def pid(self):
        return self._process.pid

    def execute(self, sql, parameters=None):
        return self.query(self.database, sql, parameters)

    def scalar(self, sql, parameters=None):
        return self.value(self.database, sql, parameters)

    def environment(self, database=None):
        """How libpq and node-postgres find it."""
        return {"PGHOST": str(self.directory), "PGPORT": "5432", "PGUSER": "postgres",
                "PGDATABASE": database or self.database}

    def load(self, count, payload="bench.payload(n)", keys=10_000, first=1):
        """Emits that many events, of `keys` keys, in transactions of LOAD_AT_ONCE."""
        connection = self.connect(self.database)
        with connection.cursor() as cursor:
            for start in range(first, first + count, LOAD_AT_ONCE):
                end = min(first + count, start + LOAD_AT_ONCE) - 1
                cursor.execute(
                    "select count(outbox.emit('order', (n %% %s)::text, 'order.created',"
                    f" {payload}, lock_key => false)) from generate_series(%s, %s) n",
                    (keys, start, end))
                cursor.execute("select outbox.maintain()")
        connection.close()
        self.settle()

    def settle(self):
        """After loading: what autovacuum and the checkpointer would do sooner or later, so that
        they don't do it in the middle of a measurement."""
        self.execute("vacuum (analyze)")
        self.query("postgres", "checkpoint")

    def create_database(self, name):
        """A further database, for a peer. Replaced when it is there already."""
        self.query("postgres", f'drop database if exists "{name}" with (force)')
        self.query("postgres", f'create database "{name}"')
        self.query(name, HELPERS)

    def drop_database(self, name):
        self.query("postgres", f'drop database if exists "{name}" with (force)')

    def pgbench(self, script, seconds, user, clients=32, threads=2):
        """Runs a pgbench script as `user`; returns transactions per second."""
        done = subprocess.run(
            ["pgbench", "-n", "-M", "prepared", "-c", str(clients), "-j", str(threads),
             "-T", str(seconds), "-f", str(script)],
            env={**self.environment(), "PGUSER": user, "PATH": "/usr/bin:/bin"},
            capture_output=True, text=True, check=True)
        for line in done.stdout.splitlines():
            if line.startswith("tps = "):
                return float(line.split()[2])
        raise ValueError(f"pgbench said no tps: {done.stdout}{done.stderr}")

    def wait_until(self, sql, timeout_s, what):
        """Until the single value is true."""
        connection = self.connect(self.database)
        try:
            with connection.cursor() as cursor:
                def holds():
                    cursor.execute(sql)
                    return cursor.fetchone()[0]
                wait.until(holds, timeout_s, what, 0.1)
        finally:
            connection.close()


def now():
    return time.monotonic()
