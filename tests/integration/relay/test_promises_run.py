"""What the manual page and --help promise about run, as far as no other test shows it:
test_manual.py knows which sentence is proved by which test."""

import http.server
import re
import signal
import subprocess
import threading

import pytest

from lib import process, wait
from receiver import Answer

PROGRAM = str(process.binary("outbox-relay"))


@pytest.mark.parametrize("stop_signal", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it(outbox, receiver, stop_signal):
    """It reads no more, waits for what it has sent, and stores how far it came."""
    outbox.subscribe("s", receiver.url(), max_in_flight=1)
    receiver.behave = lambda request: Answer(delay_s=0.5)
    relay = outbox.relay().wait_leader()
    outbox.emit_keys(50)
    receiver.wait_for_requests(2)
    assert relay.stop(stop_signal) == 0
    assert receiver.in_flight == 0 and receiver.count() < 50
    assert outbox.status()["lag_events"] == 50 - receiver.count()
    assert outbox.value("select holder is null from outbox.lease")


def test_sources_from_the_environment(outbox, receiver):
    outbox.subscribe("s", receiver.url())
    relay = process.start([PROGRAM, "run", "--listen", "off"], stderr=subprocess.DEVNULL,
                          env={"OUTBOX_RELAY_SOURCES": f"first={outbox.relay_dsn}"})
    try:
        outbox.emit()
        receiver.wait_for(1)
        assert receiver.requests[0].events[0]["source"] == "/first"
    finally:
        assert process.stop(relay) == 0


def listening_sockets(pid):
    """Of the network; the relay's others are connected."""
    inodes = {re.sub(r"\D", "", str(link.readlink()))
              for link in process.Path(f"/proc/{pid}/fd").iterdir() if link.is_symlink()}
    lines = [line.split() for table in ("tcp", "tcp6") for line in
             process.Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]]
    return [line[1] for line in lines if line[3] == "0A" and line[9] in inodes]


@pytest.mark.parametrize("words, sockets", [(["--listen", "off"], 0), ([], 1)])
def test_it_listens_where_it_is_told(outbox, words, sockets):
    """By the option, else by the environment."""
    relay = process.start(
        [PROGRAM, "run", *words, "--source", f"shop={outbox.relay_dsn}"], stderr=subprocess.DEVNULL,
        env={"OUTBOX_RELAY_LISTEN": f"127.0.0.1:{process.free_port()}"})
    try:
        wait.until(lambda: outbox.value("select holder is not null from outbox.lease"), 20, "a leader")
        assert len(listening_sockets(relay.pid)) == sockets
    finally:
        assert process.stop(relay) == 0


def test_settings_are_printed_with_their_defaults(run):
    """Which are those in force: the program falls back to what the same table says."""
    page = (process.ROOT / "docs/configuration.md").read_text(encoding="utf-8")
    rows = run("run", "--settings-markdown", source=False).splitlines()
    defaults = dict(re.match(r"\| `(\w+)`.*? \| `?(.*?)`? \|", row).groups() for row in rows)
    assert all(row in page for row in rows) and len(defaults) == len(rows)
    shown = re.findall(r"^  (\w+).*\n(.*)$", run("run", "--settings", source=False), re.M)
    assert [name for name, _ in shown] == list(defaults)
    for name, text in shown:
        assert text.endswith(f" (default: {defaults[name]})") or not defaults[name]
    for option in ("listen", "wake"):
        variable = "OUTBOX_RELAY_" + option.upper()
        assert run.documented_defaults("run")[option] == f"${variable} or {defaults[variable]}"


def test_emit_belongs_to_its_transaction(outbox, receiver):
    outbox.subscribe("s", receiver.url())
    outbox.relay().wait_leader()
    connection = outbox.connect()
    connection.autocommit = False
    cursor = connection.cursor()
    emit = "select outbox.emit('order', '1', 'order.created', '{}')::text"
    cursor.execute(emit)
    connection.rollback()
    cursor.execute(emit)
    [committed] = cursor.fetchone()
    connection.commit()
    connection.close()
    receiver.wait_for(1)
    assert receiver.ids() == [committed]


def test_only_a_relay_that_sleeps_is_notified(outbox, receiver):
    outbox.subscribe("s", receiver.url())
    listening = outbox.connect()
    listening.cursor().execute("listen outbox")

    def notified():
        listening.poll()
        return len(listening.notifies)

    outbox.emit()
    assert notified() == 0
    outbox.relay(OUTBOX_RELAY_SAFETY_POLL_MS="3600000").wait_leader().wait_asleep()
    outbox.emit()
    wait.until(notified, 10, "the notification")
    listening.close()


class _Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):  # pylint: disable=invalid-name
        self.server.asked.append(self.path)
        self.server.released.wait(self.server.delay_s)
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *_):  # pylint: disable=arguments-differ
        pass


@pytest.mark.parametrize("status, delay_s, expected", [(200, 0, 0), (503, 0, 1), (200, 4, 1)])
def test_healthcheck(status, delay_s, expected):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Page) as server:
        server.status, server.delay_s, server.asked = status, delay_s, []
        server.released = threading.Event()
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        done = subprocess.run([PROGRAM, "healthcheck"], capture_output=True, timeout=30, check=False,
                              env={"OUTBOX_RELAY_LISTEN": f"127.0.0.1:{server.server_port}"})
        server.released.set()
        server.shutdown()
    assert (done.returncode, server.asked) == (expected, ["/readyz"])


def test_the_health_is_asked_where_run_listens_by_default(run):
    """Should something be ready there, that is as good an answer."""
    address = run.documented_defaults("healthcheck")["listen"]
    assert run.documented_defaults("run")["listen"].endswith(f" or {address}")
    done = subprocess.run([PROGRAM, "healthcheck"], capture_output=True, text=True, timeout=30,
                          check=False, env={})
    assert done.returncode == 0 or f"not ready at http://{address}/readyz" in done.stderr


def test_the_quick_start(outbox, receiver):
    page = (process.ROOT / "packaging/outbox-relay.1.in").read_text(encoding="utf-8")
    script = re.search(r"^\.Sh QUICK START\n\.Bd -literal\n(.*?)\.Ed", page, re.M | re.S).group(1)
    for shown, here in (("\\e", "\\"), ("host=/var/run/postgresql dbname=shop", outbox.dsn),
                        ("http://127.0.0.1:8002/events", receiver.url()),
                        ("psql -d shop", 'psql -d "$OUTBOX_RELAY_SOURCE"'),
                        (" &\n", " & relay=$!; trap 'kill $relay' EXIT TERM\n")):
        assert shown in script
        script = script.replace(shown, here)
    shell = process.start(
        ["sh", "-ec", script + "wait"], stdout=subprocess.PIPE, text=True,
        env={"PATH": f"{process.BUILD}/bin:/usr/bin:/bin", "OUTBOX_RELAY_LISTEN": "off"})
    try:
        assert any(line.startswith("billing ") for line in shell.stdout), "the status"
        receiver.wait_for(1)
        assert receiver.requests[0].events[0]["data"] == {"total": "10"}
    finally:
        process.stop(shell)


def test_the_source_from_the_environment(run, monkeypatch):
    monkeypatch.setenv("OUTBOX_RELAY_SOURCE", run.dsn)
    assert run("subscriptions", source=False) == "no subscriptions\n"
