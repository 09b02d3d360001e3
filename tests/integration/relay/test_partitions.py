"""Partitions and retention: created ahead, dropped whole, never before their time."""

import pytest

from lib import wait
from published import both_emits

pytestmark = both_emits


def partitions(outbox):
    return [row[0] for row in outbox.query(
        "select name from outbox.partition where name <> 'event_beyond' order by lower_id")]


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
    assert outbox.value("select outbox.maintain()") == "0 created, 0 dropped, gave way"
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
        assert maintain.fetchone()[0].endswith("gave way"), "it has not met the emitter"
        maintain.execute("show lock_timeout")
        assert maintain.fetchone()[0] == "0"
    emitter.close()
    caller.close()


def emit_megabytes(outbox, count, event_type="order.created"):
    """Events of about a kilobyte each."""
    outbox.query("select outbox.emit('order', i::text, %s, jsonb_build_object('text', repeat('x', 1000)),"
                 " lock_key => false) from generate_series(1, %s) i", (event_type, count))


def maintain_verbosely(outbox):
    """What outbox.maintain() says, and which tables the server has read to prove their bounds."""
    connection = outbox.connect()
    with connection.cursor() as cursor:
        cursor.execute("set client_min_messages = debug1")
        cursor.execute("select outbox.maintain()")
        told = cursor.fetchone()[0]
    verified = [line.split('"')[1] for line in connection.notices if "verifying table" in line]
    connection.close()
    return told, verified


def test_the_relay_comes_again_after_it_gave_way(outbox, receiver):
    """Without another event to remind it."""
    outbox.subscribe("s", receiver.url())
    outbox.query("alter table outbox.event alter column id restart with 2000001")
    connection = outbox.connect()
    connection.autocommit = False
    with connection.cursor() as cursor:
        cursor.execute("lock table outbox.event_default in row exclusive mode")
    outbox.emit(count=3)
    relay = outbox.relay(OUTBOX_RELAY_MAINTAIN_INTERVAL_S="1").wait_leader()
    receiver.wait_for(3)
    wait.until(lambda: outbox.status()["lag_events"] == 0, 10, "the cursor is stored")
    waits = "select count(*) from pg_stat_activity where query like '%outbox.maintain()%' and datname ="
    waits += " current_database() and pid <> pg_backend_pid() and state = 'idle'"
    wait.until(lambda: outbox.value(waits) == 1, 20, "it to have called outbox.maintain()", 0.005)
    connection.rollback()
    connection.close()
    wait.until(lambda: outbox.value("select count(*) from outbox.event_default") == 0, 20, "the split")
    assert relay.metric("outbox_relay_elections_total") == 1


@pytest.mark.parametrize("events, is_read", [(100, True), (20_000, False)], ids=["small", "large"])
def test_a_large_default_partition_is_not_read_under_the_lock(outbox, events, is_read):
    """Emitters wait while its bounds are proved, so that must not take longer the more there is."""
    outbox.query("alter table outbox.event alter column id restart with 2000001")
    emit_megabytes(outbox, events)
    # It gives way to an autovacuum, too.
    _, verified = wait.until(lambda: (done := maintain_verbosely(outbox)) and "way" not in done[0] and done,
                             30, "the locks", 0.2)
    assert ("event_2000001" in verified) == is_read
    assert "event_2000001" in partitions(outbox)
    assert outbox.value("select count(*) from outbox.event_2000001") == events
    emit_megabytes(outbox, 10, "order.changed")
    assert outbox.value("select count(*) from outbox.event_default") == 0
    assert outbox.value("select count(*) from outbox.event_beyond") == 0
    assert outbox.query("select event_type, count(*) from outbox.event group by 1 order by max(id)") == [
        ("order.created", events), ("order.changed", 10)]
    outbox.query("select outbox.maintain()")
    assert maintain_verbosely(outbox) == ("0 created, 0 dropped", [])


def test_a_large_default_partition_again_and_again(outbox, receiver):
    """Each time the relay is back it keeps its lease, and delivers all in order."""
    shrink(outbox)
    outbox.subscribe("s", receiver.url(), batch_size=1000)
    events = []
    for number in range(2):
        outbox.query("select setval('outbox.event_id_seq', (select max(upper_id) from outbox.partition"
                     " where name <> 'event_beyond') + 10)")
        emit_megabytes(outbox, 18_000, f"order.{number}")
        ids = outbox.query("select event_id::text from outbox.event_default order by id")
        assert len(ids) == 18_000
        events += [row[0] for row in ids]
        relay = outbox.relay(OUTBOX_RELAY_MAINTAIN_INTERVAL_S="1").wait_leader()
        wait.until(lambda: outbox.value("select count(*) from outbox.event_default") == 0, 30,
                   "the relay to maintain")
        receiver.wait_for(18_000 * (number + 1), 60)
        assert relay.metric("outbox_relay_elections_total") == 1
        assert relay.stop() == 0
    receiver.assert_complete_in_order(events)


def test_partitions_go_on_where_event_beyond_began(outbox):
    """As the stream comes close, it is moved out of the way."""
    far = outbox.value("select lower_id from outbox.partition where name = 'event_beyond'")
    outbox.query("select setval('outbox.event_id_seq', %s)", (far - 1_500_000,))
    outbox.query("update outbox.setting set partitions_ahead = 4")
    for _ in range(2):
        outbox.query("select outbox.maintain()")
    assert outbox.value("select lower_id from outbox.partition where name = 'event_beyond'") > far
    assert f"event_{far}" in partitions(outbox)
    outbox.query("select setval('outbox.event_id_seq', %s)", (far - 1,))
    outbox.emit(count=3)
    assert outbox.value(f"select count(*) from outbox.event_{far}") == 3


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
