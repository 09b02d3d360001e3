"""One active relay per database: standby, crash, stop, a relay that comes back from the dead."""

import signal

import pytest

from lib import process, wait
from receiver import Answer

LEADER = "outbox_relay_leader"


def leaders(*relays):
    return [relay for relay in relays if relay.is_leader()]


def test_only_one_of_many_is_active(outbox, receiver):
    outbox.subscribe("s", receiver.url())
    relays = [outbox.relay() for _ in range(3)]
    wait.until(lambda: len(leaders(*relays)) == 1, 20, "one leader")
    events = outbox.emit_keys(200)
    receiver.wait_for(200)
    assert sorted(receiver.ids()) == sorted(events), "delivered twice"
    assert len(leaders(*relays)) == 1
    standby = next(relay for relay in relays if not relay.is_leader())
    assert standby.metric("outbox_relay_connected") == 1
    assert standby.metric("outbox_relay_reads_total") == 0


def test_a_standby_takes_over_after_a_crash(outbox, receiver):
    outbox.subscribe("s", receiver.url())
    active = outbox.relay().wait_leader()
    standby = outbox.relay()
    wait.until(lambda: standby.metric("outbox_relay_connected") == 1, 10, "the standby")
    events = []
    for round_number in range(4):
        events += outbox.emit_keys(50)
        receiver.wait_for(round_number * 50 + 20)
        events += outbox.emit_keys(50)
        active.process.kill()
        active.process.wait()
        standby.wait_leader(5)  # the server frees the lock as soon as the connection is gone
        active, standby = standby, outbox.relay()
        wait.until(lambda: set(receiver.ids()) >= set(events), 20, "all events")
    receiver.assert_complete_in_order(events)


def test_a_graceful_stop_hands_over_without_repeating(outbox, receiver):
    outbox.subscribe("s", receiver.url())
    active = outbox.relay().wait_leader()
    standby = outbox.relay()
    events = []
    for _ in range(3):
        events += outbox.emit_keys(300)
        receiver.wait_for(len(events) - 250)
        assert active.stop() == 0
        standby.wait_leader(5)
        active, standby = standby, outbox.relay()
    receiver.wait_for(len(events))
    assert sorted(receiver.ids()) == sorted(events), "delivered twice or lost"


def test_a_relay_that_is_stopped_loses_its_lease_and_does_no_harm(outbox, receiver):
    """SIGSTOP: the connection lives, the server ends the session after the lease's time to live."""
    outbox.subscribe("s", receiver.url())
    stopped = outbox.relay().wait_leader()
    events = outbox.emit_keys(50)
    receiver.wait_for(50)
    wait.until(lambda: outbox.status()["lag_events"] == 0, 10, "the cursor is stored")
    process.freeze(stopped.process.pid)
    other = outbox.relay().wait_leader(15)
    epoch = outbox.value("select epoch from outbox.lease")
    events += outbox.emit_keys(50)
    receiver.wait_for(100)
    wait.until(lambda: outbox.status()["lag_events"] == 0, 10, "the cursor is stored")
    stopped.process.send_signal(signal.SIGCONT)
    wait.until(lambda: stopped.logged("reconnecting"), 10, "it to notice")
    wait.until(lambda: stopped.metric("outbox_relay_connected") == 1, 10, "it to stand by")
    assert leaders(stopped, other) == [other]
    events += outbox.emit_keys(50)
    receiver.wait_for(150)
    assert sorted(receiver.ids()) == sorted(events)
    assert outbox.value("select epoch from outbox.lease") == epoch


def test_a_stopped_relay_in_the_middle_of_a_backlog(outbox, receiver):
    """What it still had in memory is not sent when it comes back: the other has sent it."""
    outbox.subscribe("s", receiver.url(), max_in_flight=2)
    stopped = outbox.relay().wait_leader()
    events = outbox.emit_keys(3000)
    receiver.wait_for(300)
    process.freeze(stopped.process.pid)
    outbox.relay().wait_leader(15)
    wait.until(lambda: set(receiver.ids()) == set(events), 30, "all events")
    wait.until(lambda: outbox.status()["lag_events"] == 0, 10, "the cursor is stored")
    before = len(receiver.requests)
    stopped.process.send_signal(signal.SIGCONT)
    wait.until(lambda: stopped.logged("reconnecting"), 10, "it to notice")
    assert len(receiver.requests) - before <= 2, "at most what was in flight"
    receiver.assert_complete_in_order(events)


def test_writes_of_an_old_epoch_fail(outbox, receiver):
    """Someone else is elected behind the relay's back: its next write fails and it gives up."""
    outbox.subscribe("s", receiver.url())
    relay = outbox.relay().wait_leader()
    outbox.query("update outbox.lease set epoch = epoch + 10")
    before = outbox.value("select epoch from outbox.lease")
    outbox.emit()
    receiver.wait_for(1)
    wait.until(lambda: relay.logged("another relay has been elected"), 10, "it to notice")
    relay.wait_leader()
    assert outbox.value("select epoch from outbox.lease") > before
    last = outbox.emit()
    wait.until(lambda: last[0] in receiver.ids(), 10, "the last event")


def test_a_lost_connection(outbox, receiver):
    outbox.subscribe("s", receiver.url())
    relay = outbox.relay().wait_leader()
    events = []
    for _ in range(5):
        events += outbox.emit_keys(40)
        outbox.query("select pg_terminate_backend(pid) from pg_stat_activity"
                     " where datname = current_database() and application_name = 'outbox-relay'")
    wait.until(lambda: set(receiver.ids()) == set(events), 20, "all events")
    receiver.assert_complete_in_order(events)
    assert relay.stop() == 0


def test_polling_relays_elect_one_too(outbox, receiver):
    outbox.subscribe("s", receiver.url())
    relays = [outbox.relay(OUTBOX_RELAY_WAKE="poll") for _ in range(2)]
    wait.until(lambda: len(leaders(*relays)) == 1, 20, "one leader")
    active = leaders(*relays)[0]
    standby = next(relay for relay in relays if relay is not active)
    events = outbox.emit_keys(50)
    receiver.wait_for(50)
    active.process.kill()
    active.process.wait()
    standby.wait_leader(15)
    events += outbox.emit_keys(50)
    wait.until(lambda: set(receiver.ids()) == set(events), 20, "all events")
    assert standby.stop() == 0
    # It gave the lease back: the next need not wait for its end.
    assert outbox.value("select valid_until from outbox.lease") is None


def test_listening_and_polling_relays_respect_each_other(outbox, receiver):
    outbox.subscribe("s", receiver.url())
    polling = outbox.relay(OUTBOX_RELAY_WAKE="poll").wait_leader()
    listening = outbox.relay()
    wait.until(lambda: listening.metric("outbox_relay_connected") == 1, 10, "the standby")
    events = outbox.emit_keys(20)
    receiver.wait_for(20)
    assert leaders(polling, listening) == [polling]
    polling.stop()
    listening.wait_leader(15)
    polling = outbox.relay(OUTBOX_RELAY_WAKE="poll")
    wait.until(lambda: polling.metric("outbox_relay_connected") == 1, 10, "the standby")
    events += outbox.emit_keys(20)
    receiver.wait_for(40)
    assert leaders(polling, listening) == [listening]
    assert sorted(receiver.ids()) == sorted(events)


@pytest.mark.parametrize("wake", ["listen", "poll"])
def test_the_end_of_a_stop_is_bounded(outbox, receiver, wake):
    """A request that never ends does not keep the relay from stopping, nor what it knows from being
    written, nor the lease from the next one."""
    hangs = outbox.emit(key="hangs")
    receiver.behave = lambda request: \
        Answer(delay_s=60, accepts=False) if request.ids == hangs else Answer(422)
    outbox.subscribe("s", receiver.url(), timeout_ms=600000)
    relay = outbox.relay(OUTBOX_RELAY_SHUTDOWN_TIMEOUT_MS="300", OUTBOX_RELAY_WAKE=wake).wait_leader()
    receiver.wait_for_requests(1)
    bad = outbox.emit(key="bad")
    wait.until(lambda: outbox.deliveries("status") == [("retrying",)], 10, "the refused event")
    assert process.stop(relay.process, timeout_s=5) == 0
    assert outbox.value("select holder is null or valid_until <= now() from outbox.lease")
    receiver.behave = lambda request: None
    outbox.relay(OUTBOX_RELAY_WAKE=wake).wait_leader(3)
    receiver.wait_for(2)
    assert sorted(receiver.ids()) == sorted(hangs + bad)
