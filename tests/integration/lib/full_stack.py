"""The whole shop, started by scripts/stack in a directory and on ports of its own."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path

import psycopg2
import requests

from . import process, wait

SERVICES = ["auth", "user-profile", "billing", "order", "notification", "product", "price"]
DATABASES = [service.replace("-", "_") for service in SERVICES]
PUBLISHERS = [database for database in DATABASES if database != "notification"]

READ_TIMEOUT_S = 4
# Shorter than the defaults, so that tests of what hangs don't.
SETTINGS = {"READ_TIMEOUT": f"{READ_TIMEOUT_S}s", "PART_TIMEOUT": "2s"}

# What changes by itself while nothing happens: cursors, leases and the like.
_RESTLESS = ("outbox.subscription", "outbox.lease", "outbox.partition")


class FullStack:
    """Made by up(); down() stops it and removes its files. Parts are named as by scripts/stack:
    the services, relay, gateway, postgres."""

    def __init__(self):
        self.directory = Path(tempfile.mkdtemp(prefix="shop-stack-"))
        self._connections = {}
        try:
            self._run("up", "--free-ports")
        except BaseException:
            self.down()
            raise
        self.env = self._read_env()
        self.url = self.env["GATEWAY_URL"]
        self.address = ("127.0.0.1", int(self.env["GATEWAY_PORT"]))

    def down(self):
        for connection in self._connections.values():
            connection.close()
        if (self.directory / "pid").is_dir():
            self._run("wipe")
        shutil.rmtree(self.directory, ignore_errors=True)

    def _run(self, *arguments):
        done = subprocess.run(
            [str(process.ROOT / "scripts" / "stack"), *arguments, "--run-dir", str(self.directory)],
            capture_output=True, text=True, timeout=120, check=False,
            env={**os.environ, **SETTINGS})
        assert done.returncode == 0, \
            f"scripts/stack {' '.join(arguments)}:\n{done.stdout}{done.stderr}"

    def _read_env(self):
        lines = (self.directory / "env").read_text().splitlines()
        pairs = (line.removeprefix("export ").split("=", 1) for line in lines)
        return {name: value.strip("'") for name, value in pairs}

    # Programs

    def pid(self, part):
        return int((self.directory / "pid" / part).read_text().split()[0])

    def pids(self):
        return {part: self.pid(part) for part in (*SERVICES, "relay", "gateway")}

    def log(self, part):
        return (self.directory / "log" / f"{part}.log").read_text(errors="replace")

    @contextmanager
    def paused(self, part):
        """The program hangs (SIGSTOP) meanwhile."""
        try:
            process.freeze(self.pid(part))
            yield
        finally:
            os.kill(self.pid(part), signal.SIGCONT)

    @contextmanager
    def killed(self, part):
        """The program is gone (SIGKILL), and started again afterwards."""
        self._run("stop", part, "--signal", "KILL")
        try:
            yield
        finally:
            self._run("start", part)

    # Network

    def service_url(self, part):
        return self.env[part.upper().replace("-", "_") + "_URL"]

    def get(self, part, path):
        """Straight to a part, past the gateway."""
        return requests.get(self.service_url(part) + path, timeout=30)

    def connect(self):
        """A bare TCP connection to the gateway."""
        return socket.create_connection(self.address, timeout=30)

    def webhook_secret(self, source, consumer):
        """The secret that signs the events of a source to a consumer."""
        return (self.directory / "secrets" / f"webhook.{source}.{consumer}").read_text().strip()

    # Databases

    def _connect(self, database):
        connection = self._connections.get(database)
        if connection is None or connection.closed:
            connection = psycopg2.connect(self.env["ADMIN_DSN"], dbname=database)
            connection.autocommit = True
            self._connections[database] = connection
        return connection

    def connect_as(self, role, database):
        """A new connection of a login role of the stack."""
        return psycopg2.connect(self.env["ADMIN_DSN"], user=role, dbname=database)

    def query(self, database, sql, parameters=None):
        """Runs one statement as superuser; returns the rows."""
        with self._connect(database).cursor() as cursor:
            cursor.execute(sql, parameters)
            return cursor.fetchall() if cursor.description else None

    def count(self, database, table):
        return self.query(database, f"select count(*) from {table}")[0][0]

    @contextmanager
    def database_down(self):
        """PostgreSQL is stopped meanwhile, at once."""
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()
        self._run("stop", "postgres")
        try:
            yield
        finally:
            self._run("start", "postgres")

    def contents(self):
        """For each table of each database, its number of rows and a digest of them."""
        return {f"{database}.{table}": (rows, digest) for database in DATABASES
                for table, rows, digest in self.query(database, self._digest_sql(database))}

    def _digest_sql(self, database):
        # Partitioned tables as a whole: the relay makes partitions whenever it likes.
        tables = self.query(
            database, "select name from pg_class c join pg_namespace n on n.oid = c.relnamespace,"
                      " format('%%I.%%I', nspname, relname) name"
                      " where relkind in ('r', 'p') and not relispartition"
                      " and nspname not in ('pg_catalog', 'information_schema')"
                      " and not name = any (%s)", (list(_RESTLESS),))
        return " union all ".join(
            f"select '{table}', count(*), md5(string_agg(t::text, ';' order by t::text))"
            f" from {table} t"
            for table, in tables)

    # Events

    def undelivered(self):
        """The subscriptions that are behind, as text."""
        return [f"{database}: {row}" for database in PUBLISHERS for row in self.query(
            database, "select subscription, lag_events, retrying, blocked, breaker, last_error"
                      " from outbox.status where lag_events > 0 or retrying > 0 or blocked > 0")]

    def wait_delivered(self, timeout_s=30):
        """Waits until every event has reached every consumer, and what they emit in turn too."""
        def settled():
            behind = self.undelivered() or self.undelivered()
            assert not behind, behind
            return True
        wait.until(settled, timeout_s, "all events to be delivered", 0.05)
