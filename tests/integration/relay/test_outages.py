"""The database goes away: restarted, crashed, stopped while events wait. With a cluster of its own."""

import signal
import threading
import time

import psycopg2
import pytest

from lib import wait
from lib.pg import Cluster
from published import Outbox
from receiver import Answer


@pytest.fixture(name="own")
def fixture_own(tmp_path):
    """An outbox in a durable cluster that the test may halt."""
    with Cluster(fsync="on", synchronous_commit="on", full_page_writes="on") as cluster:
        made = Outbox(cluster, tmp_path)
        yield made
        made.close()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["restart", "crash"])
def test_the_server_restarts_under_load(own, receiver, how):
    """Emitters and relay reconnect; committed events arrive, in order."""
    own.subscribe("s", receiver.url(), batch_size=10)
    relay = own.relay().wait_leader()
    committed = [[], [], []]
    unsure = []
    stop = threading.Event()

    def emit(number):
        connection = None
        while not stop.is_set():
            event = None
            try:
                connection = connection or own.connect()
                connection.autocommit = False
                with connection.cursor() as cursor:
                    cursor.execute("select outbox.emit('order', %s, 'order.changed', '{}')::text",
                                   (str(number),))
                    event = cursor.fetchone()[0]
                connection.commit()
                committed[number].append(event)
            except psycopg2.Error:
                if event:
                    unsure.append(event)  # lost during commit: it may have been done
                connection = None
                time.sleep(0.01)
        if connection:
            connection.close()

    threads = [threading.Thread(target=emit, args=(number,)) for number in range(len(committed))]
    for thread in threads:
        thread.start()
    for _ in range(2):
        before = receiver.count()
        receiver.wait_for(before + 100, 60)
        own.pg.halt(how)
        own.pg.start()
    relay.wait_leader(30)
    receiver.wait_for(receiver.count() + 100, 60)
    stop.set()
    for thread in threads:
        thread.join()
    events = {event for each in committed for event in each}
    wait.until(lambda: events <= set(receiver.ids()), 60, "all committed events")
    assert set(receiver.ids()) - events <= set(unsure)
    stored = {row[0] for row in own.query("select event_id::text from outbox.event")}
    assert set(receiver.ids()) <= stored
    for sequence in receiver.by_key().values():
        first_of_each = list(dict.fromkeys(sequence))
        assert first_of_each == sorted(first_of_each)


def test_a_relay_starts_before_its_database(own, receiver):
    own.subscribe("s", receiver.url())
    events = own.emit(count=3)
    own.pg.halt()
    relay = own.relay()
    wait.until(lambda: relay.metric("outbox_relay_reconnects_total") >= 3, 20, "attempts")
    assert relay.metric("outbox_relay_connected") == 0
    own.pg.start()
    receiver.wait_for(3, 30)
    assert receiver.ids() == events


def test_parked_events_survive_a_crash_of_both(own, receiver):
    own.subscribe("s", receiver.url(), max_attempts=1000)
    bad, behind = own.emit(key="k", count=2)
    receiver.behave = lambda request: Answer(500) if bad in request.ids else None
    relay = own.relay().wait_leader()
    wait.until(lambda: own.deliveries() == [("retrying",), ("blocked",)], 10, "both to be parked")
    relay.process.kill()
    relay.process.wait()
    own.pg.halt(signal.SIGQUIT)
    own.pg.start()
    own.relay().wait_leader()
    other = own.emit(key="other")
    receiver.wait_for(1)
    receiver.behave = lambda request: None
    receiver.wait_for(3)
    assert receiver.ids() == other + [bad, behind]
