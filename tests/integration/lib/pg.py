"""A private, temporary PostgreSQL cluster: own directory, own unix socket, no TCP port, so any
number of test runs go side by side. PostgreSQL refuses root, so root runs it as user postgres."""

import glob
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import psycopg2

from . import process, wait

GROUP_ROLES = ("outbox_emitter", "outbox_relay", "outbox_operator", "outbox_reader")

# Durability is of no use to a cluster that is thrown away; what is tested is order and atomicity.
SETTINGS = {
    "listen_addresses": "''",
    "max_connections": "200",
    "max_prepared_transactions": "10",
    "shared_buffers": "64MB",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum_naptime": "10s",
    "log_min_messages": "warning",
    "log_line_prefix": "'%m [%p] %q%u@%d '",
}


def bin_directory():
    """The directory of initdb and postgres: PG_BIN, else the newest of Debian's."""
    if os.environ.get("PG_BIN"):
        return Path(os.environ["PG_BIN"])
    found = glob.glob("/usr/lib/postgresql/*/bin")
    if not found:
        raise FileNotFoundError("no PostgreSQL under /usr/lib/postgresql: set PG_BIN")
    return Path(max(found, key=lambda path: int(path.split("/")[-2])))


def as_postgres():
    """What runs a command as user postgres; nothing when this is not root."""
    if os.geteuid() != 0:
        return []
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups",
            "--pdeathsig", "INT", "--"]


class Cluster:
    """Started on construction; stop() ends it and removes its files. Also a context manager."""

    def __init__(self, **settings):
        self._prepare()
        subprocess.run(
            [*as_postgres(), str(self._bin / "initdb"), "-D", str(self.data), "-A", "trust",
             "-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions"],
            check=True, stdout=subprocess.DEVNULL, cwd="/")
        with open(self.data / "postgresql.conf", "a", encoding="ascii") as conf:
            conf.write(f"unix_socket_directories = '{self.directory}'\n")
            for name, value in {**SETTINGS, **settings}.items():
                conf.write(f"{name} = {value}\n")
        self.start()

    def _prepare(self):
        """An empty directory, for the user that the server runs as."""
        self.directory = Path(tempfile.mkdtemp(prefix="shop-pg-"))
        self._bin = bin_directory()
        self._process = None
        if os.geteuid() == 0:
            user = pwd.getpwnam("postgres")
            os.chown(self.directory, user.pw_uid, user.pw_gid)

    @property
    def data(self):
        return self.directory / "data"

    @property
    def log(self):
        return self.directory / "log"

    def start(self):
        with open(self.log, "ab") as log:
            self._process = process.start(
                [*as_postgres(), self._bin / "postgres", "-D", self.data],
                stdout=log, stderr=log, cwd="/")
        wait.until(lambda: self.connect().close() or True, 30, f"PostgreSQL, see {self.log}", 0.05)

    def halt(self, stop_signal=signal.SIGINT):
        """Stops the server, by default at once and in order; the files stay, start() goes on.
        SIGQUIT is a crash: the next start recovers."""
        process.stop(self._process, stop_signal)

    def begin_to_stop(self):
        """A smart stop: takes no more connections, and ends when those there are have gone."""
        self._process.send_signal(signal.SIGTERM)

    def stop(self):
        if self._process is not None:
            self.halt()
            self._process = None
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def dsn(self, database="postgres", user="postgres"):
        return f"host={self.directory} port=5432 dbname={database} user={user}"

    def connect(self, database="postgres", user="postgres"):
        """A new autocommit connection (a superuser's by default); the caller closes it."""
        connection = psycopg2.connect(self.dsn(database, user))
        connection.autocommit = True
        return connection

    def query(self, database, sql, parameters=None):
        """Runs one statement as superuser; returns the rows, or None when it gives none."""
        connection = self.connect(database)
        try:
            with connection.cursor() as cursor:
                cursor.execute(sql, parameters)
                return cursor.fetchall() if cursor.description else None
        finally:
            connection.close()

    def value(self, database, sql, parameters=None):
        """The single value of the single row of a query."""
        rows = self.query(database, sql, parameters)
        assert len(rows) == 1 and len(rows[0]) == 1, f"{sql}: {len(rows)} rows"
        return rows[0][0]

    def provision(self, service):
        """What a superuser does once per service: its login role, its database, which nobody else
        may enter but the relay, and the group roles of the outbox. Safe twice. Returns the dsn."""
        name = service.replace("-", "_")
        for role in GROUP_ROLES:
            self._create_role(role, "nologin")
        self._create_role("relay", "login in role outbox_relay")
        self._create_role(name, "login")
        if not self.query("postgres", "select 1 from pg_database where datname = %s", (name,)):
            self.query("postgres", f'create database "{name}" owner "{name}"')
        self.query("postgres", f'revoke all on database "{name}" from public')
        self.query("postgres", f'grant connect on database "{name}" to relay')
        return self.dsn(name, name)

    def _create_role(self, role, options):
        if not self.query("postgres", "select 1 from pg_roles where rolname = %s", (role,)):
            self.query("postgres", f'create role "{role}" {options}')


class Standby(Cluster):
    """A streaming standby of a cluster that runs, synchronous where that one asks for it."""

    def __init__(self, primary):  # pylint: disable=super-init-not-called
        self._prepare()
        subprocess.run([*as_postgres(), str(self._bin / "pg_basebackup"),
                        "-D", str(self.data), "-R", "-X", "stream", "-c", "fast", "--no-sync",
                        "-d", f"{primary.dsn()} application_name=standby"],
                       check=True, cwd="/", timeout=120)
        with open(self.data / "postgresql.conf", "a", encoding="ascii") as conf:
            conf.write(f"unix_socket_directories = '{self.directory}'\n"
                       "synchronous_standby_names = ''\n")
        self.start()

    def promote(self):
        self.query("postgres", "select pg_promote()")
