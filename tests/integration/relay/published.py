"""A publishing database with an outbox, and relays as processes."""

import itertools
import shutil
import subprocess

import pytest
import requests

from lib import process, wait

_numbers = itertools.count(1)

# Short, so that tests are quick; the defaults are for production.
SETTINGS = {
    "OUTBOX_RELAY_LEASE_TTL_MS": "3000",
    "OUTBOX_RELAY_BREAKER_BASE_MS": "50",
    "OUTBOX_RELAY_BREAKER_MAX_MS": "400",
    "OUTBOX_RELAY_POLL_INTERVAL_MS": "50",
    "LOG_LEVEL": "debug",
}


# For tests of what depends on outbox.emit: its two implementations must do the same.
both_emits = pytest.mark.parametrize("outbox", ["plpgsql", "native"], indirect=True)


def native_library(pg):
    """The path of the library where the server of the tests may read it."""
    built = process.BUILD / "native" / "outbox_emit.so"
    if not built.exists():
        pytest.skip("the native outbox.emit is not built: make native")
    library = pg.directory / built.name
    if not library.exists():
        shutil.copy(built, library)
    return library


class Relay:
    """One relay process."""

    def __init__(self, outbox, sources=None, settings=None, wrapper=()):
        """`wrapper`: the words of a command that runs it."""
        self.port = process.free_port()
        self.log = outbox.directory / f"relay-{next(_numbers)}.log"
        self._log_file = open(self.log, "wb")  # pylint: disable=consider-using-with
        command = [*wrapper, process.binary("outbox-relay"), "run", "--listen", f"127.0.0.1:{self.port}"]
        for name, dsn in (sources or {"shop": outbox.relay_dsn}).items():
            command += ["--source", f"{name}={dsn}"]
        self.process = process.start(command, stdout=self._log_file, stderr=self._log_file,
                                     env={"PATH": "/usr/bin:/bin", **process.sanitizer_options(),
                                          **SETTINGS, **(settings or {})})

    def metrics(self):
        """{'name{labels}': value}"""
        text = requests.get(f"http://127.0.0.1:{self.port}/metrics", timeout=5).text
        lines = (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
        return {name: float(value) for name, value in lines}

    def metric(self, name, **labels):
        """The sum of the series with these labels."""
        parts = [f'{key}="{value}"' for key, value in labels.items()]
        return sum(value for series, value in self.metrics().items()
                   if series.split("{")[0] == name and all(part in series for part in parts))

    def is_leader(self):
        try:
            return self.metric("outbox_relay_leader") > 0
        except requests.RequestException:
            return False

    def wait_leader(self, timeout_s=20):
        wait.until(self.is_leader, timeout_s, f"the relay leads, see {self.log}", 0.01)
        return self

    def wait_asleep(self):
        """Until it waits for a notification."""
        wait.until(lambda: self.metric("outbox_relay_asleep") == 1, 20, "the relay to sleep", 0.005)

    def stop(self, *arguments):
        status = process.stop(self.process, *arguments)
        self._log_file.close()
        return status

    def logged(self, text):
        return text in self.log.read_text(encoding="utf-8", errors="replace")


class Outbox:
    """A publishing database and what belongs to it."""

    def __init__(self, pg, directory):
        self.pg = pg
        self.directory = directory
        self.database = f"outbox_{next(_numbers)}"
        self.dsn = pg.provision(self.database)
        self.relay_dsn = pg.dsn(self.database, "relay")
        self.relays = []
        self.run("init")

    def run(self, *words, dsn=None):
        subprocess.run([str(process.binary("outbox-relay")), *words, "--source", dsn or self.dsn],
                       check=True, stdout=subprocess.DEVNULL, timeout=60)

    def make_native(self):
        self.run("init", "--native-library", str(native_library(self.pg)),
                 dsn=self.pg.dsn(self.database))

    def query(self, sql, parameters=None):
        return self.pg.query(self.database, sql, parameters)

    def value(self, sql, parameters=None):
        return self.pg.value(self.database, sql, parameters)

    def connect(self):
        return self.pg.connect(self.database, self.database)

    def subscribe(self, name, url, **options):
        """outbox.subscribe by name of its arguments; returns the secret."""
        options = {"from_beginning": True, "retry_base_ms": 20, "retry_max_ms": 100, **options}
        names = "".join(f", {key} => %({key})s" for key in options)
        self.query(f"select outbox.subscribe(name => %(name)s, url => %(url)s{names})",
                   {"name": name, "url": url, **options})
        return self.value("select value from outbox.secret where subscription = %s"
                          " order by id desc limit 1", (name,))

    def emit(self, key="1", event_type="order.created", payload="{}", count=1):
        """Emits in one transaction; returns the ids of the events, in order."""
        rows = self.query(
            "select outbox.emit('order', %s, %s, %s)::text from generate_series(1, %s)",
            (str(key), event_type, payload, count))
        return [row[0] for row in rows]

    def emit_keys(self, count, event_type="order.created"):
        """One event for each of so many keys, one transaction."""
        rows = self.query(
            "select outbox.emit('order', i::text, %s, '{}', lock_key => false)::text"
            "  from generate_series(1, %s) i", (event_type, count))
        return [row[0] for row in rows]

    def relay(self, sources=None, **settings):
        relay = Relay(self, sources, settings)
        self.relays.append(relay)
        return relay

    def deliveries(self, columns="status", where="true"):
        return self.query(f"select {columns} from outbox.delivery where {where} order by id")

    def status(self, name="s"):
        """The row of outbox.status as a dictionary."""
        connection = self.connect()
        try:
            with connection.cursor() as cursor:
                cursor.execute("select * from outbox.status where subscription = %s", (name,))
                return dict(zip((c.name for c in cursor.description), cursor.fetchone()))
        finally:
            connection.close()

    def close(self):
        for relay in self.relays:
            if relay.process.poll() is None:
                relay.process.send_signal(18)  # SIGCONT, should a test have stopped it
                relay.process.kill()
                relay.process.wait()
        self.query("select pg_terminate_backend(pid) from pg_stat_activity"
                   " where datname = current_database() and pid <> pg_backend_pid()")
        self.pg.query("postgres", f"drop database {self.database} with (force)")
