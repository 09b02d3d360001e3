"""Several sources in one process, each in a thread of its own, while somebody reads the metrics."""

import threading

import pytest
import requests

from lib import wait
from published import Outbox

SOURCES = 4
ROUNDS = 8
EVENTS = 60


@pytest.fixture(name="outboxes")
def fixture_outboxes(pg, tmp_path):
    made = [Outbox(pg, tmp_path) for _ in range(SOURCES)]
    yield made
    for outbox in made:
        outbox.close()


class Scraper:
    """Reads all that the relay tells about itself until it is stopped. Counters only grow."""

    PATHS = ("/metrics", "/livez", "/readyz")

    def __init__(self, relay):
        self.relay = relay
        self.scrapes = 0
        self.failures = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(2)]
        for thread in self._threads:
            thread.start()

    def _run(self):
        before = {}
        try:
            while not self._stop.is_set():
                for path in self.PATHS[1:]:
                    requests.get(f"http://127.0.0.1:{self.relay.port}{path}", timeout=20)
                now = self.relay.metrics()
                shrunk = [name for name, value in before.items()
                          if "_total" in name and now.get(name, 0) < value]
                assert not shrunk, shrunk
                before = now
                self.scrapes += 1
        except Exception as error:  # pylint: disable=broad-except
            self.failures.append(error)

    def stop(self):
        self._stop.set()
        for thread in self._threads:
            thread.join()
        assert not self.failures
        assert self.scrapes > 0


def received(receiver, path):
    """The events that came to a path."""
    return {event for request in list(receiver.requests) if request.path == path
            for event in request.ids}


def test_sources_do_not_disturb_each_other(outboxes, receivers):
    """Each has its own events, subscriptions and outages."""
    ends = [receivers() for _ in outboxes]
    for outbox, receiver in zip(outboxes, ends):
        outbox.subscribe("single", receiver.url("/single"))
        outbox.subscribe("batch", receiver.url("/batch"), batch_size=20)
    sources = {f"shop{n}": outbox.relay_dsn for n, outbox in enumerate(outboxes)}
    relay = outboxes[0].relay(sources)
    wait.until(lambda: relay.metric("outbox_relay_leader") == SOURCES, 30, "all to lead")
    scraper = Scraper(relay)
    events = [[] for _ in outboxes]
    for number in range(ROUNDS):
        for outbox, emitted in zip(outboxes, events):
            emitted += outbox.emit_keys(EVENTS)
        # One of them loses its sessions, the others must not notice.
        outboxes[number % SOURCES].query(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = current_database() and application_name = 'outbox-relay'")
    for number, (receiver, emitted) in enumerate(zip(ends, events)):
        for path in ("/single", "/batch"):
            wait.until(lambda r=receiver, p=path, e=emitted: received(r, p) == set(e), 60,
                       f"all events of shop{number} at {path}")
        receiver.assert_complete_in_order(emitted)
        wait.until(lambda n=number: relay.metric("outbox_relay_events_delivered_total",
                                                 source=f"shop{n}") >= 2 * ROUNDS * EVENTS,
                   10, "the relay has counted them")
    scraper.stop()
    assert relay.stop() == 0


def test_one_source_is_away(outboxes, receivers):
    """A database that is not there keeps nobody waiting."""
    ends = [receivers() for _ in outboxes]
    for outbox, receiver in zip(outboxes, ends):
        outbox.subscribe("s", receiver.url())
    sources = {f"shop{n}": outbox.relay_dsn for n, outbox in enumerate(outboxes)}
    sources["gone"] = sources["shop0"].replace("dbname=", "dbname=no_")
    relay = outboxes[0].relay(sources)
    wait.until(lambda: relay.metric("outbox_relay_leader") == SOURCES, 30, "the others to lead")
    scraper = Scraper(relay)
    for outbox, receiver in zip(outboxes, ends):
        events = outbox.emit_keys(20)
        receiver.wait_for(20)
        assert sorted(receiver.ids()) == sorted(events)
    assert relay.metric("outbox_relay_connected", source="gone") == 0
    scraper.stop()
    assert relay.stop() == 0
