"""A real PgBouncer in transaction pooling, in front of a test's cluster: own directory, own unix
socket, no TCP port. It refuses root as PostgreSQL does, so root runs it as user postgres."""

import os
import pwd
import shutil
import signal
import tempfile
from pathlib import Path

import psycopg2

from . import process, wait
from .pg import as_postgres

PORT = 6432

# One server connection for each user and database: what a client leaves behind in a session, the
# next one meets.
CONFIGURATION = """\
[databases]
* = host={cluster} port=5432
[pgbouncer]
listen_port = {port}
unix_socket_dir = {directory}
auth_type = trust
auth_file = {directory}/users
admin_users = postgres
pool_mode = transaction
default_pool_size = 1
max_client_conn = 200
logfile = {directory}/log
pidfile = {directory}/pid
"""


class Bouncer:
    """Started on construction, for `users`; stop() ends it and removes its files."""

    def __init__(self, cluster, users):
        self.directory = Path(tempfile.mkdtemp(prefix="shop-bouncer-"))
        self._process = None
        (self.directory / "pgbouncer.ini").write_text(CONFIGURATION.format(
            cluster=cluster.directory, directory=self.directory, port=PORT), encoding="ascii")
        users = "".join(f'"{user}" ""\n' for user in [*users, "postgres"])
        (self.directory / "users").write_text(users, encoding="ascii")
        if os.geteuid() == 0:
            user = pwd.getpwnam("postgres")
            os.chown(self.directory, user.pw_uid, user.pw_gid)
        self.start()

    def start(self):
        program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
        assert program, "pgbouncer is missing: run scripts/deps"
        self._process = process.start(
            [*as_postgres(), program, "-q", self.directory / "pgbouncer.ini"], cwd="/")
        wait.until(self.pools, 20, f"PgBouncer, see {self.directory}/log", 0.02)

    def crash(self):
        process.stop(self._process, signal.SIGKILL)

    def stop(self):
        process.stop(self._process, signal.SIGINT)
        shutil.rmtree(self.directory, ignore_errors=True)

    def dsn(self, database, user):
        return f"host={self.directory} port={PORT} dbname={database} user={user}"

    def connect(self, database, user):
        """A new connection through the pool, in a transaction from the first statement on."""
        return psycopg2.connect(self.dsn(database, user))

    def pools(self):
        """{(database, user): {column: value}} as PgBouncer shows them."""
        connection = self.connect("pgbouncer", "postgres")
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                cursor.execute("show pools")
                names = [column.name for column in cursor.description]
                rows = [dict(zip(names, row)) for row in cursor.fetchall()]
        finally:
            connection.close()
        return {(row["database"], row["user"]): row for row in rows}
