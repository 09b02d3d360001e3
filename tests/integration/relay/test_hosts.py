"""Connection strings that name several hosts, and hosts that lead elsewhere."""

import contextlib
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import psycopg2
import pytest

from lib import process, wait
from lib.pg import Cluster, Standby
from published import Outbox

LEASE_LOCK = "select pg_try_advisory_lock(1329747032, 2)"


# Two servers that both take writes

@pytest.fixture(name="outbox")
def fixture_outbox(tmp_path, receiver):
    with Cluster(wal_level="replica") as cluster:
        made = Outbox(cluster, tmp_path)
        made.subscribe("s", receiver.url())
        yield made
        made.close()


@pytest.fixture(name="twin")
def fixture_twin(outbox):
    """A copy that was a standby and has been promoted, beside the one that it was copied from."""
    with Standby(outbox.pg) as standby:
        standby.promote()
        yield standby


def emit_on(cluster, outbox, count):
    return [row[0] for row in cluster.query(
        outbox.database, "select outbox.emit('order', i::text, 'order.created', '{}')::text"
                         f" from generate_series(1, {count}) i")]


@contextlib.contextmanager
def another_leader(outbox):
    """Stands for another relay that holds the lease of a database while this lasts."""
    session = outbox.pg.connect(outbox.database)
    with session.cursor() as cursor:
        cursor.execute(LEASE_LOCK)
        assert cursor.fetchone() == (True,)
    yield
    session.close()


def wait_standby(relay, cluster):
    """Until it has reached a server and found that another relay leads there."""
    wait.until(lambda: any('"state":"standby"' in line and f'"host":"{cluster}"' in line
                           for line in relay.log.read_text(encoding="utf-8").splitlines()),
               20, f"a standby of {cluster}, see {relay.log}")


def refuses_connections(cluster):
    try:
        cluster.connect().close()
    except psycopg2.OperationalError:
        return True
    return False


def test_a_server_that_stops_gets_no_leader(outbox, twin, receiver):
    """It keeps the session, and would have sent the working connection to the next host."""
    both = f"host={outbox.pg.directory},{twin.directory} port=5432,5432" \
           f" dbname={outbox.database} user=relay target_session_attrs=read-write"
    with another_leader(outbox):
        relay = outbox.relay({"shopA": both})
        wait_standby(relay, outbox.pg.directory)
        leader = outbox.relay({"shopB": twin.dsn(outbox.database, "relay")}).wait_leader()
        outbox.pg.begin_to_stop()
        wait.until(lambda: refuses_connections(outbox.pg), 20, "the stop to begin")
    wait_standby(relay, twin.directory)
    assert not relay.is_leader() and leader.is_leader()
    events = emit_on(twin, outbox, 100)
    receiver.wait_for(100)
    assert leader.stop() == 0
    relay.wait_leader()
    events += emit_on(twin, outbox, 1)
    wait.until(lambda: events[-1] in receiver.ids(), 20, "the last event")
    assert sorted(receiver.ids()) == sorted(events), "delivered by both"
    outbox.pg.halt()
    outbox.pg.start()  # for the fixtures' sake


class Proxy:
    """A host's name that is moved from one server to another: forwards each new connection to the
    current `target`, a Cluster."""

    def __init__(self, target):
        self.target = target
        self.directory = Path(tempfile.mkdtemp(prefix="shop-proxy-"))
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.directory / ".s.PGSQL.5432"))
        self._listener.listen(16)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(f"{self.target.directory}/.s.PGSQL.5432")
                for source, sink in ((client, server), (server, client)):
                    threading.Thread(target=self._copy, args=(source, sink), daemon=True).start()

    @staticmethod
    def _copy(source, sink):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        for side in (source, sink):
            with contextlib.suppress(OSError):
                side.shutdown(socket.SHUT_RDWR)

    def stop(self):
        self._listener.close()


def test_the_lease_is_proved_where_the_relay_writes(outbox, twin, receiver):
    """A name that moves between the two connections of a relay."""
    proxy = Proxy(outbox.pg)
    with another_leader(outbox):
        relay = outbox.relay(
            {"shop": f"host={proxy.directory} dbname={outbox.database} user=relay"})
        wait_standby(relay, proxy.directory)
        outbox.emit_keys(10)
        proxy.target = twin
    wait.until(lambda: relay.logged("they have reached two servers"), 20, "the relay to notice")
    relay.wait_leader()
    events = emit_on(twin, outbox, 10)
    receiver.wait_for(10)
    relay.wait_asleep()
    assert sorted(receiver.ids()) == sorted(events), "it led on a server that it had left"
    proxy.stop()


# Hosts that do not answer

@pytest.fixture(name="silent")
def fixture_silent():
    """The port of a host that takes connections and never says a word."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        yield listener.getsockname()[1]


def test_a_silent_first_host_costs_seconds(outbox, silent, receiver):
    """With no timeout in the connection string: once 3 s, not twice 10."""
    began = time.monotonic()
    outbox.relay({"shop": f"host=127.0.0.1,{outbox.pg.directory} port={silent},5432"
                          f" dbname={outbox.database} user=relay"}).wait_leader()
    assert time.monotonic() - began < 9
    events = outbox.emit_keys(5)
    receiver.wait_for(5)
    assert sorted(receiver.ids()) == sorted(events)


@pytest.mark.parametrize("command, dsn", [
    ("status", "host=127.0.0.1 port={port} dbname=x user=x connect_timeout=2"),
    ("status", "postgresql://x@127.0.0.1:{port}/x?connect_timeout=2"),
    ("status", "hostaddr=127.0.0.1,127.0.0.1 port={port} dbname=x user=x"),
    ("init", "host=127.0.0.1 port={port} dbname=x user=x connect_timeout=2")])
def test_commands_wait_as_long_as_the_connection_string_says(silent, command, dsn):
    began = time.monotonic()
    found = subprocess.run([process.binary("outbox-relay"), command, "--source",
                            dsn.format(port=silent)], capture_output=True, text=True, timeout=60,
                           check=False)
    assert found.returncode == 1 and "timeout expired" in found.stderr
    assert time.monotonic() - began < 9
