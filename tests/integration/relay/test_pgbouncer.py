"""Poll mode through a real PgBouncer in transaction pooling, of one server connection: relays and
emitters share it, so nothing may rest on a session."""

import random
import threading

import pytest

from lib import wait
from lib.bouncer import Bouncer
from published import Outbox
from receiver import Answer

KEYS = 5


@pytest.fixture(name="outboxes")
def fixture_outboxes(pg, tmp_path):
    """Two publishing databases."""
    made = [Outbox(pg, tmp_path) for _ in range(2)]
    yield made
    for outbox in made:
        outbox.close()


@pytest.fixture(name="bouncer")
def fixture_bouncer(pg, outboxes):
    made = Bouncer(pg, ["relay", *(outbox.database for outbox in outboxes)])
    yield made
    made.stop()


@pytest.fixture(name="listening_relay")
def fixture_listening_relay(bouncer, outboxes):
    """listening_relay(): a relay that LISTENs through the pool, as nobody should configure it. No
    timer helps it once it sleeps."""
    source = {"shop": bouncer.dsn(outboxes[0].database, "relay")}
    return lambda: outboxes[0].relay(source, OUTBOX_RELAY_SAFETY_POLL_MS="3600000")


@pytest.fixture(name="start_relay")
def fixture_start_relay(bouncer, outboxes):
    """start_relay(): a relay that polls both databases through the pool."""
    sources = {f"shop{number}": bouncer.dsn(outbox.database, "relay")
               for number, outbox in enumerate(outboxes)}
    return lambda: outboxes[0].relay(sources, OUTBOX_RELAY_WAKE="poll")


def leads(relay, source):
    return relay.metric("outbox_relay_leader", source=source) == 1


def leads_both(relay):
    return leads(relay, "shop0") and leads(relay, "shop1")


def emit(bouncer, outbox, key, end="commit"):
    """One event in a transaction through the pool; `end` ends it. Returns its id."""
    connection = bouncer.connect(outbox.database, outbox.database)
    try:
        with connection.cursor() as cursor:
            cursor.execute("select outbox.emit('order', %s, 'order.changed', '{}')::text", (key,))
            event = cursor.fetchone()[0]
            cursor.execute(end)
        return event
    finally:
        connection.close()


class Writers:
    """A thread for each database that emits and rolls back until it is stopped."""

    def __init__(self, bouncer, outboxes):
        self.committed = [[] for _ in outboxes]
        self.failures = []
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._write, args=(bouncer, outbox, self.committed[number]))
            for number, outbox in enumerate(outboxes)]
        for thread in self._threads:
            thread.start()

    def _write(self, bouncer, outbox, committed):
        rng = random.Random(outbox.database)
        try:
            while not self._stop.is_set():
                end = rng.choice(("commit", "commit", "commit", "rollback"))
                event = emit(bouncer, outbox, str(rng.randrange(KEYS)), end)
                if end == "commit":
                    committed.append(event)
        except Exception as error:  # pylint: disable=broad-except
            self.failures.append(error)

    def stop(self):
        self._stop.set()
        for thread in self._threads:
            thread.join()
        assert not self.failures


def test_relays_are_killed_and_others_take_over(bouncer, outboxes, receivers, start_relay):
    ends = [receivers() for _ in outboxes]
    for outbox, receiver in zip(outboxes, ends):
        outbox.subscribe("s", receiver.url(), batch_size=10)
    active = start_relay()
    wait.until(lambda: leads_both(active), 20, "the first relay")
    standby = start_relay()
    writers = Writers(bouncer, outboxes)
    for _ in range(3):
        for receiver in ends:
            receiver.wait_for(receiver.count() + 30)
        active.process.kill()
        active.process.wait()
        wait.until(lambda relay=standby: leads_both(relay), 20, "the standby")
        active, standby = standby, start_relay()
    writers.stop()
    for receiver, events in zip(ends, writers.committed):
        wait.until(lambda r=receiver, e=events: set(r.ids()) >= set(e), 20, "all events")
        receiver.assert_complete_in_order(events)
    for outbox in outboxes:
        wait.until(lambda o=outbox: o.status()["lag_events"] == 0, 10, "the cursor is stored")
        pool = bouncer.pools()[outbox.database, "relay"]
        assert pool["pool_mode"] == "transaction"
        assert outbox.value("select count(*) from pg_stat_activity where usename = 'relay'"
                            " and datname = current_database()") <= 1, "past the pool"
    assert active.stop() == 0 and standby.stop() == 0


def test_only_one_of_two_delivers(bouncer, outboxes, receiver, start_relay):
    outbox = outboxes[0]
    outbox.subscribe("s", receiver.url())
    relays = [start_relay() for _ in range(2)]
    wait.until(lambda: any(leads(relay, "shop0") for relay in relays), 20, "a leader")
    events = [emit(bouncer, outbox, str(number % KEYS)) for number in range(200)]
    receiver.wait_for(200)
    wait.until(lambda: outbox.status()["lag_events"] == 0, 10, "the cursor is stored")
    assert sorted(receiver.ids()) == sorted(events), "delivered twice"
    assert sum(leads(relay, "shop0") for relay in relays) == 1


def test_two_phase_commit(bouncer, outboxes, receiver, start_relay):
    """A prepared event comes when it is committed, and others do not wait for it."""
    outbox = outboxes[0]
    outbox.subscribe("s", receiver.url())
    relay = start_relay()
    wait.until(lambda: leads_both(relay), 20, "the relay")
    prepared = [emit(bouncer, outbox, f"p{number}", f"prepare transaction 'p{number}'")
                for number in range(3)]
    given_up = emit(bouncer, outbox, "gone", "prepare transaction 'gone'")
    later = [emit(bouncer, outbox, str(number)) for number in range(20)]
    receiver.wait_for(20)
    assert sorted(receiver.ids()) == sorted(later)
    outbox.query("rollback prepared 'gone'")
    for number in range(3):
        outbox.query(f"commit prepared 'p{number}'")
    receiver.wait_for(23)
    last = emit(bouncer, outbox, "gone")
    receiver.wait_for(24)
    assert given_up not in receiver.ids()
    assert sorted(receiver.ids()) == sorted(later + prepared + [last])


def test_parked_keys_and_retries(bouncer, outboxes, receiver, start_relay):
    """Every statement of the relay goes through the pool: a refused event, its retries, its end."""
    outbox = outboxes[0]
    outbox.subscribe("s", receiver.url(), max_attempts=3)
    relay = start_relay()
    wait.until(lambda: leads_both(relay), 20, "the relay")
    receiver.behave = lambda request: Answer(422) if request.events[0]["subject"] == "bad" else None
    bad = emit(bouncer, outbox, "bad")
    good = [emit(bouncer, outbox, str(number)) for number in range(10)]
    wait.until(lambda: outbox.deliveries("event_id::text, status, attempts") == [(bad, "dead", 3)],
               20, "the refused event to be dead")
    receiver.wait_for(10)
    assert sorted(receiver.ids()) == sorted(good)
    receiver.behave = lambda request: None
    behind = emit(bouncer, outbox, "bad")
    outbox.query("select outbox.redrive('s')")
    receiver.wait_for(12)
    assert sorted(receiver.ids()) == sorted([*good, bad, behind])


def test_the_pool_dies_and_comes_back(bouncer, outboxes, receiver, start_relay):
    outbox = outboxes[0]
    outbox.subscribe("s", receiver.url())
    relay = start_relay()
    wait.until(lambda: leads_both(relay), 20, "the relay")
    events = [emit(bouncer, outbox, str(number % KEYS)) for number in range(30)]
    receiver.wait_for(10)
    bouncer.crash()
    wait.until(lambda: relay.metric("outbox_relay_connected") == 0, 20, "it to notice")
    bouncer.start()
    events += [emit(bouncer, outbox, str(number % KEYS)) for number in range(30)]
    wait.until(lambda: set(receiver.ids()) >= set(events), 20, "all events")
    receiver.assert_complete_in_order(events)


def test_commands_through_the_pool(bouncer, outboxes, receiver, start_relay):
    """Where the pool is all that one can reach. They leave nothing in the session they shared."""
    outbox = outboxes[0]
    dsn = bouncer.dsn(outbox.database, outbox.database)

    def session():
        connection = bouncer.connect(outbox.database, outbox.database)
        try:
            with connection.cursor() as cursor:
                # The name is set by the pool itself.
                cursor.execute("select name, setting from pg_settings where source = 'session'"
                               " and name <> 'application_name' order by name")
                return cursor.fetchall()
        finally:
            connection.close()

    before = session()
    outbox.run("subscribe", "s", "--url", receiver.url(), dsn=dsn)
    relay = start_relay()
    wait.until(lambda: leads_both(relay), 20, "the relay")
    events = [emit(bouncer, outbox, str(number)) for number in range(5)]
    receiver.wait_for(5)
    for words in (["status"], ["status", "--json"], ["events", "--limit", "3"], ["dead", "s"],
                  ["secrets", "s"], ["subscriptions"], ["pause", "s"],
                  ["redrive", "s", "--all"], ["resume", "s"], ["replay", "s", "--from-id", "1"]):
        outbox.run(*words, dsn=dsn)
    receiver.wait_for(10)
    assert sorted(receiver.ids()) == sorted(events * 2)
    assert session() == before


def test_a_relay_that_listens_names_the_pooler_and_polls(bouncer, outboxes, receiver, listening_relay):
    outboxes[0].subscribe("s", receiver.url())
    relay = listening_relay().wait_leader()
    events = []
    for number in range(20):
        events.append(emit(bouncer, outboxes[0], str(number)))
        receiver.wait_for(number + 1)
        assert relay.metric("outbox_relay_asleep") == 0
    wait.until(lambda: relay.logged("a pooler is in between: LISTEN does not reach this session"), 10,
               "the relay to name it")
    events.append(emit(bouncer, outboxes[0], "last"))
    receiver.wait_for(len(events))
    assert relay.metric("outbox_relay_asleep") == 0
    assert receiver.ids() == events


def test_relays_whose_statements_meet_are_told_of_the_pooler(outboxes, receiver, listening_relay):
    """They prepare the same statements in one session of the server."""
    outboxes[0].subscribe("s", receiver.url())
    relays = [listening_relay() for _ in range(2)]
    wait.until(lambda: any(relay.logged('"hint":"a pooler is in between: set OUTBOX_RELAY_WAKE=poll')
                           for relay in relays), 20, "the hint")
