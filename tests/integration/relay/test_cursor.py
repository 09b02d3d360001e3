"""The cursor: what commits arrives, once, each key in order, whatever the order of commits."""

import random
import threading
import time

import pytest

from lib import wait
from published import both_emits

WRITERS = 12
TRANSACTIONS = 80
KEYS = 40


class Writers:
    """Concurrent transactions of random size, length and end."""

    def __init__(self, outbox, seed):
        self.outbox = outbox
        self.seed = seed
        self.lock = threading.Lock()
        self.committed = []
        self.failures = []

    def _transaction(self, rng, connection):
        emitted = []
        # Keys in order: two transactions that lock several must not deadlock.
        keys = sorted(rng.sample(range(KEYS), rng.choice((1, 1, 1, 2, 5))))
        with connection.cursor() as cursor:
            for key in keys:
                for _ in range(rng.choice((1, 1, 1, 3))):
                    cursor.execute("select outbox.emit('order', %s, 'order.changed', '{}')::text",
                                   (str(key),))
                    emitted.append(cursor.fetchone()[0])
        # The length of a transaction is what is tested here, not a wait for something.
        if rng.random() < 0.3:
            time.sleep(rng.random() * 0.02)
        if rng.random() < 0.005:
            time.sleep(2)
        if rng.random() < 0.25:
            connection.rollback()
            return
        connection.commit()
        with self.lock:
            self.committed += emitted

    def _write(self, number):
        rng = random.Random(self.seed * 1000 + number)
        connection = self.outbox.connect()
        connection.autocommit = False
        try:
            for _ in range(TRANSACTIONS):
                self._transaction(rng, connection)
        except Exception as error:  # pylint: disable=broad-except
            self.failures.append(error)
        finally:
            connection.close()

    def run(self):
        threads = [threading.Thread(target=self._write, args=(n,)) for n in range(WRITERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not self.failures


def assert_all_in_order_once(receiver, committed):
    got = receiver.ids()
    assert len(got) == len(set(got)), "delivered twice"
    assert set(got) == set(committed)
    for key, sequence in receiver.by_key().items():
        assert sequence == sorted(sequence), f"{key} is out of order"


@both_emits
@pytest.mark.parametrize("wake", ["listen", "poll"])
@pytest.mark.parametrize("batch_size", [1, 50])
def test_concurrent_writers(outbox, receiver, wake, batch_size):
    outbox.subscribe("s", receiver.url(), batch_size=batch_size)
    relay = outbox.relay(OUTBOX_RELAY_WAKE=wake).wait_leader()
    writers = Writers(outbox, batch_size)
    writers.run()
    receiver.wait_for(len(writers.committed), 60)
    wait.until(lambda: outbox.status()["lag_events"] == 0, 10, "the cursor is stored")
    assert_all_in_order_once(receiver, writers.committed)
    assert relay.stop() == 0


@both_emits
def test_stragglers_of_a_long_transaction(outbox, receiver):
    """A transaction stays open while thousands of later events pass, and its events still come."""
    outbox.subscribe("s", receiver.url(), batch_size=100)
    outbox.relay().wait_leader()
    long = outbox.connect()
    long.autocommit = False
    ids = []
    with long.cursor() as cursor:
        for key in range(5):
            cursor.execute("select outbox.emit('long', %s, 'long.event', '{}')::text", (str(key),))
            ids.append(cursor.fetchone()[0])
    later = []
    for _ in range(6):
        later += outbox.emit_keys(1000)
        receiver.wait_for(len(later))
    assert not set(ids) & set(receiver.ids())
    wait.until(lambda: outbox.value("select position from outbox.subscription") >= 6005, 10,
               "the cursor goes on past the open transaction")
    # A floor that went on as well is what keeps the reads cheap.
    assert outbox.value("select floor from outbox.subscription") > 4000
    assert outbox.value("select deep_floor from outbox.subscription") <= 5
    long.commit()
    long.close()
    receiver.wait_for(len(later) + 5)
    assert_all_in_order_once(receiver, later + ids)


def test_many_late_events_are_caught_up_in_parts(outbox, receiver):
    """More late events than one read takes, while new ones go on."""
    outbox.subscribe("s", receiver.url(), batch_size=1000)
    outbox.relay().wait_leader()
    long = outbox.connect()
    long.autocommit = False
    with long.cursor() as cursor:
        cursor.execute("select outbox.emit('long', i::text, 'long.event', '{}', '{}', false)::text"
                       "  from generate_series(1, 15000) i")
        ids = [row[0] for row in cursor.fetchall()]
    later = outbox.emit_keys(500)
    receiver.wait_for(500)
    long.commit()
    long.close()
    later += outbox.emit_keys(500)
    receiver.wait_for(16000)
    assert_all_in_order_once(receiver, later + ids)


def test_a_relay_that_starts_late_sees_transactions_from_before(outbox, receiver):
    """Open before the subscription and the relay, committed after both."""
    early = outbox.connect()
    early.autocommit = False
    with early.cursor() as cursor:
        cursor.execute("select outbox.emit('order', '1', 'order.created', '{}')::text")
        event = cursor.fetchone()[0]
    outbox.emit(key=2)
    outbox.subscribe("s", receiver.url(), from_beginning=False)
    relay = outbox.relay().wait_leader()
    new = outbox.emit(key=3)
    receiver.wait_for(1)
    relay.stop()
    outbox.relay().wait_leader()
    early.commit()
    early.close()
    receiver.wait_for(2)
    assert receiver.ids() == new + [event]


@both_emits
def test_prepared_transactions(outbox, receiver):
    """Two-phase commit: the relay polls, so emit never needs a notification."""
    outbox.subscribe("s", receiver.url())
    relay = outbox.relay(OUTBOX_RELAY_WAKE="poll").wait_leader()
    connection = outbox.connect()
    connection.autocommit = False
    with connection.cursor() as cursor:
        cursor.execute("select outbox.emit('order', '1', 'order.created', '{}')::text")
        prepared = cursor.fetchone()[0]
        cursor.execute("prepare transaction 'x'")
    connection.close()
    other = outbox.emit(key=2)
    receiver.wait_for(1)
    assert receiver.ids() == other
    outbox.query("commit prepared 'x'")
    receiver.wait_for(2)
    assert receiver.ids() == other + [prepared]
    assert relay.stop() == 0


@both_emits
def test_savepoints(outbox, receiver):
    """Subtransactions: what was rolled back to a savepoint never comes."""
    outbox.subscribe("s", receiver.url())
    outbox.relay().wait_leader().wait_asleep()
    connection = outbox.connect()
    connection.autocommit = False
    with connection.cursor() as cursor:
        def emit(key):
            cursor.execute("select outbox.emit('order', %s, 'order.created', '{}')::text", (key,))
            return cursor.fetchone()[0]
        cursor.execute("savepoint a")
        emit("1")
        cursor.execute("rollback to a")
        kept = [emit("2")]
        cursor.execute("savepoint b")
        kept.append(emit("3"))
        cursor.execute("release b")
    connection.commit()
    connection.close()
    receiver.wait_for(2)
    assert set(receiver.ids()) == set(kept)
