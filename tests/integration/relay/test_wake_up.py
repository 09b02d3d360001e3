"""Sleeping and waking: no event waits, an idle relay does nothing, a busy one is not notified."""

import threading

from lib import wait
from published import Outbox, both_emits


@both_emits
def test_an_event_wakes_the_relay(outbox, receiver):
    outbox.subscribe("s", receiver.url())
    # No timer can help: the safety poll is an hour away.
    relay = outbox.relay(OUTBOX_RELAY_SAFETY_POLL_MS="3600000").wait_leader()
    for number in range(20):
        relay.wait_asleep()
        outbox.emit(key=number)
        receiver.wait_for(number + 1, 5)
    assert relay.metric("outbox_relay_wakes_total", cause="notify") >= 20
    assert relay.metric("outbox_relay_wakes_total", cause="poll") == 0


def test_an_idle_relay_does_nothing(outbox, receiver):
    outbox.subscribe("s", receiver.url())
    relay = outbox.relay(OUTBOX_RELAY_SAFETY_POLL_MS="3600000").wait_leader()
    outbox.emit()
    receiver.wait_for(1)
    relay.wait_asleep()
    wait.until(lambda: outbox.status()["lag_events"] == 0, 10, "the cursor is stored")
    # Reads, and the versions of the rows that it writes. The first maintenance comes soon after the
    # election; from then on nothing changes while the lease is beating.
    last_beat = ("select max(state_change) from pg_stat_activity"
                 " where datname = current_database() and query = 'select 1'")

    def state():
        return (relay.metric("outbox_relay_reads_total"),
                outbox.query("select xmin::text from outbox.lease union all"
                             " select xmin::text from outbox.subscription"))

    def at_rest_over_two_beats():
        before = state()
        for _ in range(2):
            beat = outbox.value(last_beat)
            wait.until(lambda old=beat: outbox.value(last_beat) != old, 10, "a beat", 0.1)
        return state() == before
    wait.until(lambda: outbox.value(last_beat), 10, "the first beat", 0.1)
    wait.until(at_rest_over_two_beats, 30, "the relay to rest")
    assert at_rest_over_two_beats()


def test_the_safety_poll_finds_what_no_notification_told(outbox, receiver):
    """Rows that came without emit(), as after a restore."""
    outbox.subscribe("s", receiver.url())
    relay = outbox.relay(OUTBOX_RELAY_SAFETY_POLL_MS="300").wait_leader()
    relay.wait_asleep()
    outbox.query(
        "insert into outbox.event (txid, event_id, aggregate_type, aggregate_id, event_type,"
        " created_at, size, payload, headers) values (pg_current_xact_id(), gen_random_uuid(), 'a',"
        " '1', 'a.b', now(), 4, '{}', '{}')")
    receiver.wait_for(1)
    assert relay.metric("outbox_relay_wakes_total", cause="poll") >= 1


@both_emits
def test_emitters_at_any_moment_of_falling_asleep(outbox, receiver):
    """Single events at the pace at which the relay goes to sleep and wakes up."""
    outbox.subscribe("s", receiver.url(), max_in_flight=64)
    outbox.relay(OUTBOX_RELAY_SAFETY_POLL_MS="3600000").wait_leader()
    stop = threading.Event()
    count = [0, 0, 0]

    def emit(number):
        connection = outbox.connect()
        with connection.cursor() as cursor:
            while not stop.wait(0.001 * (number + 1)):
                cursor.execute("select outbox.emit('order', %s, 'order.changed', '{}')",
                               (f"{number}",))
                count[number] += 1
        connection.close()

    threads = [threading.Thread(target=emit, args=(number,)) for number in range(len(count))]
    for thread in threads:
        thread.start()
    wait.until(lambda: sum(count) > 1500, 60, "events")
    stop.set()
    for thread in threads:
        thread.join()
    receiver.wait_for(sum(count), 20)
    assert receiver.count() == sum(count)


def test_a_busy_system_is_read_in_large_parts(outbox, receiver):
    """Each event is a commit of its own; without a pace about every second would cost a read."""
    outbox.subscribe("s", receiver.url(), batch_size=100)
    relay = outbox.relay().wait_leader()
    before = relay.metric("outbox_relay_reads_total")
    connection = outbox.connect()
    with connection.cursor() as cursor:
        for _ in range(2000):
            cursor.execute("select outbox.emit('order', '1', 'order.changed', '{}')")
    connection.close()
    receiver.wait_for(2000, 20)
    assert relay.metric("outbox_relay_reads_total") - before < 2000 / 3


@both_emits
def test_a_rolled_back_savepoint_takes_its_notification_along(outbox, receiver):
    """The first emit of the transaction is undone; the second must wake the relay itself."""
    outbox.subscribe("s", receiver.url())
    relay = outbox.relay(OUTBOX_RELAY_SAFETY_POLL_MS="3600000").wait_leader()
    relay.wait_asleep()
    connection = outbox.connect()
    connection.autocommit = False
    with connection.cursor() as cursor:
        cursor.execute("savepoint a")
        cursor.execute("select outbox.emit('order', '1', 'order.created', '{}')")
        cursor.execute("rollback to a")
        cursor.execute("select outbox.emit('order', '1', 'order.created', '{}')")
    connection.commit()
    connection.close()
    receiver.wait_for(1, 5)


@both_emits
def test_an_emitter_that_stays_open_delays_nobody(outbox, receiver):
    """It holds the wake lock shared for as long as it is open: the relay polls meanwhile."""
    outbox.subscribe("s", receiver.url())
    relay = outbox.relay(OUTBOX_RELAY_SAFETY_POLL_MS="3600000").wait_leader()
    connection = outbox.connect()
    connection.autocommit = False
    with connection.cursor() as cursor:
        cursor.execute("select outbox.emit('order', 'open', 'order.created', '{}')")
    for number in range(10):
        outbox.emit(key=number)
        receiver.wait_for(number + 1, 2)
    connection.commit()
    connection.close()
    receiver.wait_for(11, 2)
    relay.wait_asleep()


def test_subscriptions_are_followed_at_once(outbox, receiver, receivers):
    relay = outbox.relay(OUTBOX_RELAY_SAFETY_POLL_MS="3600000").wait_leader()
    first = outbox.emit()
    outbox.subscribe("s", receiver.url())
    receiver.wait_for(1)
    other = receivers()
    outbox.subscribe("t", other.url(), event_types=["user.*", "order.paid"])
    outbox.emit(event_type="user.created")
    outbox.emit(event_type="order.paid")
    outbox.emit(event_type="order.created")
    other.wait_for(2)
    receiver.wait_for(4)
    assert receiver.ids()[:1] == first
    assert [event["type"] for event in other.delivered] == ["user.created", "order.paid"]
    outbox.query("select outbox.subscribe('s', %s)", (other.url("/moved"),))
    outbox.emit(key=5)
    other.wait_for(3)
    assert other.requests[-1].path == "/moved"
    outbox.query("select outbox.unsubscribe('s')")
    wait.until(lambda: not any('subscription="s"' in name and "lag" in name
                               for name in relay.metrics()), 10, "the subscription to go")
    outbox.emit(key=6)
    relay.wait_asleep()
    assert receiver.count() == 4 and other.count() == 3


def test_several_sources_in_one_process(outbox, receiver, pg, tmp_path):
    second = Outbox(pg, tmp_path)
    try:
        outbox.subscribe("s", receiver.url("/a"))
        second.subscribe("s", receiver.url("/b"))
        relay = outbox.relay({"one": outbox.relay_dsn, "two": second.relay_dsn})
        wait.until(lambda: relay.metric("outbox_relay_leader") == 2, 20, "both sources")
        outbox.emit(key=1, count=3)
        second.emit(key=1, count=3)
        receiver.wait_for(6)
        assert {(request.path, event["source"]) for request in receiver.requests
                for event in request.events} == {("/a", "/one"), ("/b", "/two")}
        assert relay.stop() == 0
    finally:
        second.close()


def test_a_relay_that_cannot_notify_itself_polls(outbox, receiver):
    """It does not know whether it would hear of an event, so it does not wait for that."""
    outbox.subscribe("s", receiver.url())
    outbox.query("revoke execute on function pg_notify(text, text) from public")
    relay = outbox.relay(OUTBOX_RELAY_SAFETY_POLL_MS="3600000").wait_leader()
    wait.until(lambda: relay.logged("permission denied for function pg_notify (SQLSTATE 42501)"), 20,
               "the relay to say so")
    for number in range(5):
        outbox.emit(key=number)
        receiver.wait_for(number + 1, 5)
    assert relay.metric("outbox_relay_asleep") == 0
