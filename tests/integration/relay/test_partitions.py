"""Partitions and retention: created ahead, dropped whole, never before their time."""

import pytest

from lib import wait
from published import both_emits

pytestmark = both_emits


def partitions(outbox):
    return [row[0] for row in outbox.query("select name from outbox.partition order by lower_id")]


def tables(outbox):
    return sorted(row[0] for row in outbox.query(
        "select inhrelid::regclass::text from pg_inherits"
        " where inhparent = 'outbox.event'::regclass"))


def settle(outbox, position):
    wait.until(lambda: outbox.value("select min(position) from outbox.subscription") >= position,
               20, "the cursors")


def shrink(outbox):
    """Small partitions that may go at once."""
    outbox.query("update outbox.setting set partition_size = 1000, retention = '0'")


def test_created_ahead(outbox):
    assert partitions(outbox) == ["event_1", "event_1000001"]
    outbox.query("update outbox.setting set partitions_ahead = 4")
    assert outbox.value("select outbox.maintain()") == "2 created, 0 dropped"
    assert outbox.value("select outbox.maintain()") == "0 created, 0 dropped"
    assert "outbox.event_default" in tables(outbox)


def test_the_relay_maintains(outbox, receiver):
    """Full, passed partitions go; the stream goes on through all of it."""
    outbox.query("alter table outbox.event alter column id restart with 999990")
    shrink(outbox)
    outbox.subscribe("s", receiver.url(), batch_size=100)
    outbox.relay(OUTBOX_RELAY_MAINTAIN_INTERVAL_S="1").wait_leader()
    events = []
    for _ in range(5):
        events += outbox.emit_keys(200)
    receiver.wait_for(1000)

    def gone():
        outbox.emit(key="tick")
        return "event_1" not in partitions(outbox)
    wait.until(gone, 30, "the first partition to go", 0.2)
    assert "outbox.event_1" not in tables(outbox)
    receiver.wait_for(outbox.value("select max(id) from outbox.event") - 999990 + 1)
    assert len(set(receiver.ids())) == receiver.count()
    assert set(events) <= set(receiver.ids())


def test_no_cursor_loses_its_events(outbox, receiver):
    """A paused subscription keeps what it has not seen."""
    outbox.query("alter table outbox.event alter column id restart with 1999990")
    shrink(outbox)
    outbox.subscribe("s", receiver.url())
    outbox.subscribe("paused", receiver.url("/paused"))
    outbox.query("select outbox.pause('paused')")
    outbox.relay().wait_leader()
    outbox.emit_keys(100)
    receiver.wait_for(100)
    wait.until(lambda: outbox.value(
        "select position from outbox.subscription where name = 's'") >= 2000089, 20, "the cursor")
    outbox.query("select outbox.maintain()")
    outbox.query("select outbox.maintain()")
    assert "event_1000001" in partitions(outbox)
    outbox.query("select outbox.resume('paused')")
    receiver.wait_for(200)


def test_an_open_transaction_keeps_its_partition(outbox, receiver):
    outbox.query("alter table outbox.event alter column id restart with 1000000")
    shrink(outbox)
    outbox.subscribe("s", receiver.url())
    outbox.relay().wait_leader()
    connection = outbox.connect()
    connection.autocommit = False
    with connection.cursor() as cursor:
        cursor.execute("select outbox.emit('order', 'open', 'order.created', '{}')::text")
        late = cursor.fetchone()[0]
    outbox.emit_keys(10)
    receiver.wait_for(10)
    settle(outbox, 1000010)
    assert outbox.value("select outbox.maintain()").endswith("0 dropped")
    assert outbox.value("select outbox.maintain()").endswith("0 dropped")
    assert "event_1" in partitions(outbox)
    connection.commit()
    connection.close()
    receiver.wait_for(11)
    assert receiver.ids()[-1] == late


def test_the_default_partition_takes_what_no_other_does(outbox, receiver):
    """Nobody maintained for long: emit goes on, and the rows get a partition of their own later."""
    outbox.subscribe("s", receiver.url(), batch_size=100)
    outbox.query("alter table outbox.event alter column id restart with 1999950")
    first = outbox.emit_keys(100)
    assert outbox.value("select count(*) from outbox.event_default") == 49
    relay = outbox.relay().wait_leader()
    receiver.wait_for(100)
    wait.until(lambda: outbox.value("select count(*) from outbox.event_default") == 0, 10,
               "the relay to maintain")
    assert "event_2000001" in partitions(outbox)
    second = outbox.emit_keys(100)
    receiver.wait_for(200)
    assert sorted(receiver.ids()) == sorted(first + second)
    assert relay.stop() == 0


def test_maintain_does_not_wait_behind_emitters(outbox):
    """It gives way to an open transaction and comes back."""
    outbox.query("alter table outbox.event alter column id restart with 2000001")
    connection = outbox.connect()
    connection.autocommit = False
    with connection.cursor() as cursor:
        cursor.execute("select outbox.emit('order', '1', 'order.created', '{}')")
    assert outbox.value("select outbox.maintain()") == "0 created, 0 dropped"
    outbox.emit(key=2)
    connection.commit()
    connection.close()
    assert outbox.value("select outbox.maintain()") == "3 created, 0 dropped"
    assert outbox.value("select count(*) from outbox.event_default") == 0


def test_maintain_leaves_the_caller_s_lock_timeout_alone(outbox):
    """Its own holds while it runs, also under a caller that would wait for ever."""
    outbox.query("alter table outbox.event alter column id restart with 2000001")
    emitter, caller = outbox.connect(), outbox.connect()
    emitter.autocommit = caller.autocommit = False
    with emitter.cursor() as emit, caller.cursor() as maintain:
        emit.execute("select outbox.emit('order', '1', 'order.created', '{}')")
        maintain.execute("set local lock_timeout = 0")
        maintain.execute("set local statement_timeout = '20s'")
        maintain.execute("select outbox.maintain()")
        assert maintain.fetchone()[0] == "0 created, 0 dropped", "it has not met the emitter"
        maintain.execute("show lock_timeout")
        assert maintain.fetchone()[0] == "0"
    emitter.close()
    caller.close()


@pytest.mark.parametrize("drawn", ["an event", "only an id"])
def test_a_sequence_that_was_set_far_ahead(outbox, receiver, drawn):
    """One wide partition reaches there, whether or not the default one has rows; ids may be huge."""
    outbox.subscribe("s", receiver.url())
    outbox.query("alter table outbox.event alter column id restart with 9000000000000000000")
    events = outbox.emit() if drawn == "an event" else []
    if not events:
        outbox.query("select nextval('outbox.event_id_seq')")
    created = int(outbox.value("select outbox.maintain()").split()[0])
    assert 1 <= created <= 4
    assert outbox.value("select count(*) from outbox.event_default") == 0
    outbox.relay().wait_leader()
    events += outbox.emit(count=3)
    receiver.wait_for(len(events))
    assert receiver.ids() == events
    assert receiver.delivered[0]["sequence"] == f"0900000000000000000{1 if drawn == 'only an id' else 0}"
    wait.until(lambda: outbox.status()["lag_events"] == 0, 10, "the cursor is stored")
    outbox.query("select outbox.replay('s', 1)")
    receiver.wait_for(2 * len(events))
