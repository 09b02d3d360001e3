"""What receivers do wrong, and what becomes of the events: nothing is lost, each key stays in order,
and only what has to wait waits."""

import email.utils
import time

import pytest

from lib import wait
from receiver import RESET, RESET_IN_BODY, Answer


def bad_for(event_ids, answer):
    """Behaviour: `answer` for requests with one of these events."""
    wanted = set(event_ids)
    return lambda request: answer if wanted & set(request.ids) else None


def requests_with(receiver, event_id):
    return [request for request in receiver.requests if event_id in request.ids]


@pytest.mark.parametrize("answer", [
    Answer(429), Answer(502), Answer(503), Answer(504), Answer(301, headers={"Location": "/else"}),
    Answer(408), RESET, RESET_IN_BODY,
], ids=lambda answer: answer.then or str(answer.status))
def test_an_endpoint_that_is_down_holds_everything_back(outbox, receiver, answer):
    """Nothing is parked, no attempt is burnt, and all goes on in order when it is back."""
    outbox.subscribe("s", receiver.url(), max_attempts=1)
    receiver.behave = lambda request: answer
    events = outbox.emit(key=1, count=5) + outbox.emit(key=2, count=5)
    relay = outbox.relay().wait_leader()
    receiver.wait_for_requests(4)
    wait.until(lambda: outbox.status()["breaker"] == "open", 10, "the breaker to open")
    assert outbox.status()["last_error"]
    assert relay.metric("outbox_relay_breaker_state") > 0
    assert outbox.deliveries() == []
    receiver.behave = lambda request: None
    receiver.wait_for(10)
    assert sorted(receiver.ids()) == sorted(events)
    assert all(ids == sorted(ids) for ids in receiver.by_key().values())
    assert all(request.path == "/events" for request in receiver.requests), "a redirect is followed"
    wait.until(lambda: outbox.status()["breaker"] == "closed", 10, "the breaker to close")


def test_a_refused_connection(outbox, receiver):
    outbox.subscribe("s", receiver.url())
    receiver.stop()
    relay = outbox.relay().wait_leader()
    events = outbox.emit(count=3)
    wait.until(lambda: relay.metric("outbox_relay_requests_total", outcome="down") >= 3, 10,
               "three probes")
    receiver.start()
    receiver.wait_for(3)
    assert receiver.ids() == events
    assert outbox.deliveries() == []


def test_a_timeout(outbox, receiver):
    outbox.subscribe("s", receiver.url(), timeout_ms=200)
    receiver.behave = lambda request: Answer(delay_s=30, accepts=False)
    events = outbox.emit(count=2)
    outbox.relay().wait_leader()
    receiver.wait_for_requests(2)
    receiver.behave = lambda request: None
    receiver.wait_for(2)
    assert receiver.ids() == events
    assert outbox.deliveries() == []


@pytest.mark.parametrize("form", ["seconds", "date"])
@pytest.mark.parametrize("status", [301, 408, 425, 429, 503])
def test_retry_after(outbox, receiver, status, form):
    outbox.subscribe("s", receiver.url())
    asked_until = [0.0]

    def behave(_request):
        if asked_until[0]:
            return None
        asked_until[0] = time.time() + 2
        value = "2" if form == "seconds" else email.utils.formatdate(asked_until[0], usegmt=True)
        return Answer(status, headers={"Retry-After": value})

    receiver.behave = behave
    outbox.emit()
    outbox.relay().wait_leader()
    receiver.wait_for(1)
    first, second = receiver.requests
    # A date has whole seconds.
    assert second.at - first.at >= (2 if form == "seconds" else 1) - 0.05
    assert len(receiver.requests) == 2


@pytest.mark.parametrize("body", ["\u00e4" * 300, "x" + "\u00e4" * 300], ids=["even", "odd"])
def test_a_reason_is_cut_between_characters(outbox, receiver, body):
    """After 400 bytes: of these characters, which have two, one of the cuts would go through one."""
    outbox.subscribe("s", receiver.url(), max_attempts=1)
    receiver.behave = lambda request: Answer(422, body.encode())
    outbox.emit()
    outbox.relay().wait_leader()
    wait.until(outbox.deliveries, 10, "the event to be dead")
    assert outbox.deliveries("last_error") == [("HTTP 422: " + body[:200],)]


@pytest.mark.parametrize("status", [400, 404, 422, 500])
def test_a_refused_event_holds_back_only_its_key(outbox, receiver, status):
    outbox.subscribe("s", receiver.url(), max_attempts=50)
    bad = outbox.emit(key="bad")[0]
    # What Retry-After says is heeded when the endpoint is at fault, not the event.
    receiver.behave = bad_for(
        [bad], Answer(status, {"detail": "no such thing"}, headers={"Retry-After": "3600"}))
    relay = outbox.relay().wait_leader()
    wait.until(lambda: outbox.deliveries() == [("retrying",)], 10, "the event to be parked")
    behind = outbox.emit(key="bad", count=3)
    others = outbox.emit(key="good", count=3)
    receiver.wait_for(3)
    assert receiver.ids() == others
    wait.until(lambda: outbox.deliveries() == [("retrying",)] + [("blocked",)] * 3, 10,
               "the others of the key to be blocked")
    row = outbox.deliveries("attempts, last_status, last_error", "status = 'retrying'")[0]
    assert row[0] >= 1 and row[1] == status and "no such thing" in row[2]
    assert relay.metric("outbox_relay_parked_keys") == 1
    receiver.behave = lambda request: None
    receiver.wait_for(7)
    assert receiver.ids()[3:] == [bad] + behind
    wait.until(lambda: outbox.deliveries() == [], 10, "nothing to be parked")
    wait.until(lambda: relay.metric("outbox_relay_parked_keys") == 0, 10, "the key to be free")
    after = outbox.emit(key="bad")
    receiver.wait_for(8)
    assert receiver.ids()[7:] == after


def test_retries_follow_the_schedule_and_end(outbox, receiver):
    outbox.subscribe("s", receiver.url(), max_attempts=4, retry_base_ms=100, retry_max_ms=200)
    bad = outbox.emit()[0]
    receiver.behave = bad_for([bad], Answer(500))
    outbox.relay().wait_leader()
    wait.until(lambda: outbox.deliveries() == [("dead",)], 20, "the event to be dead")
    tries = requests_with(receiver, bad)
    assert len(tries) == 4
    waits = [later.at - earlier.at for earlier, later in zip(tries, tries[1:])]
    # base * 2^n, at most max, of which the upper half is random
    for waited, least in zip(waits, (0.05, 0.1, 0.1)):
        assert waited >= least
    assert outbox.deliveries("attempts, last_status") == [(4, 500)]
    assert len({request.headers["webhook-id"] for request in tries}) == 1


def test_a_dead_event_lets_its_key_go_on(outbox, receiver):
    outbox.subscribe("s", receiver.url(), max_attempts=2)
    bad, good = outbox.emit(count=2)
    receiver.behave = bad_for([bad], Answer(500))
    outbox.relay().wait_leader()
    receiver.wait_for(1)
    assert receiver.ids() == [good]
    wait.until(lambda: outbox.deliveries() == [("dead",)], 10, "one dead event to be left")
    assert outbox.status()["dead"] == 1


def test_a_dead_event_blocks_its_key_by_policy(outbox, receiver):
    outbox.subscribe("s", receiver.url(), max_attempts=2, on_dead="block")
    bad, behind = outbox.emit(key="k", count=2)
    receiver.behave = bad_for([bad], Answer(500))
    relay = outbox.relay().wait_leader()
    wait.until(lambda: outbox.deliveries() == [("dead",), ("blocked",)], 10, "dead and blocked")
    wait.until(lambda: [relay.metric("outbox_relay_parked_events", status=status)
                        for status in ("retrying", "blocked", "dead")] == [0, 1, 1], 10, "figures")
    later = outbox.emit(key="k")[0]
    other = outbox.emit(key="other")[0]
    receiver.wait_for(1)
    assert receiver.ids() == [other]
    relay.stop()
    relay = outbox.relay().wait_leader()  # remembers from the table
    wait.until(lambda: outbox.deliveries() == [("dead",), ("blocked",), ("blocked",)], 10, "blocked")
    outbox.query("select outbox.skip('s', %s)", (bad,))
    receiver.wait_for(3)
    assert receiver.ids() == [other, behind, later]
    wait.until(lambda: outbox.deliveries() == [], 10, "nothing to be parked")


@pytest.mark.parametrize("policy", ["skip", "block"])
def test_redrive(outbox, receiver, policy):
    outbox.subscribe("s", receiver.url(), max_attempts=1, on_dead=policy)
    bad, behind = outbox.emit(key="k", count=2)
    receiver.behave = bad_for([bad], Answer(500))
    relay = outbox.relay().wait_leader()
    wait.until(lambda: ("dead",) in outbox.deliveries(), 10, "the event to be dead")
    if policy == "skip":
        receiver.wait_for(1)
    receiver.behave = lambda request: None
    assert outbox.value("select outbox.redrive('s', %s)", (bad,)) == 1
    receiver.wait_for(2)
    assert receiver.ids() == ([behind, bad] if policy == "skip" else [bad, behind])
    wait.until(lambda: outbox.deliveries() == [], 10, "nothing to be parked")
    assert outbox.value("select outbox.redrive('s')") == 0
    wait.until(lambda: relay.metric("outbox_relay_parked_keys") == 0, 10, "the key to be free")


def test_redrive_all_keeps_each_key_in_order(outbox, receiver):
    outbox.subscribe("s", receiver.url(), max_attempts=1)
    events = outbox.emit(key="a", count=3) + outbox.emit(key="b", count=3)
    receiver.behave = lambda request: Answer(500)
    outbox.relay().wait_leader()
    wait.until(lambda: outbox.deliveries() == [("dead",)] * 6, 20, "all to be dead")
    receiver.behave = lambda request: None
    assert outbox.value("select outbox.redrive('s')") == 6
    receiver.wait_for(6)
    assert sorted(receiver.ids()) == sorted(events)
    assert all(ids == sorted(ids) for ids in receiver.by_key().values())


def test_gone_disables_the_subscription(outbox, receiver):
    outbox.subscribe("s", receiver.url())
    receiver.behave = lambda request: Answer(410, {"detail": "moved out"})
    events = outbox.emit(count=2)
    relay = outbox.relay().wait_leader()
    wait.until(lambda: outbox.status()["state"] == "disabled", 10, "the subscription to be disabled")
    assert "410" in outbox.status()["state_reason"]
    events += outbox.emit(key=2)
    relay.wait_asleep()
    assert len(receiver.requests) == 1
    receiver.behave = lambda request: None
    outbox.query("select outbox.resume('s')")
    receiver.wait_for(3)
    assert sorted(receiver.ids()) == sorted(events)


def test_success_with_garbage_is_success(outbox, receiver):
    outbox.subscribe("s", receiver.url())
    receiver.behave = lambda request: Answer(200, b"\x00\xff<html>{\"failed\n")
    events = outbox.emit(count=3)
    outbox.relay().wait_leader()
    receiver.wait_for(3)
    assert receiver.ids() == events
    assert outbox.deliveries() == []


def test_a_slow_receiver_slows_no_other(outbox, receiver, receivers):
    slow = receivers()
    slow.behave = lambda request: Answer(delay_s=0.2)
    outbox.subscribe("fast", receiver.url())
    outbox.subscribe("slow", slow.url(), max_in_flight=1)
    outbox.relay(OUTBOX_RELAY_BUFFER_BYTES=str(1 << 20)).wait_leader()
    for _ in range(10):
        outbox.emit_keys(1000)
    receiver.wait_for(10000, 60)
    assert slow.count() < 1000
    slow.behave = lambda request: None
    slow.wait_for(10000, 60)
    assert len(set(slow.ids())) == 10000 and slow.count() == 10000


def test_a_dead_receiver_stops_no_other(outbox, receiver, receivers):
    down = receivers()
    down.stop()
    outbox.subscribe("up", receiver.url())
    outbox.subscribe("down", down.url())
    outbox.relay(OUTBOX_RELAY_BUFFER_BYTES=str(1 << 20)).wait_leader()
    for _ in range(10):
        outbox.emit_keys(1000)
    receiver.wait_for(10000, 60)
    down.start()
    down.wait_for(10000, 60)
    assert down.count() == 10000
    for each in (receiver, down):
        assert all(ids == sorted(ids) for ids in each.by_key().values())


def test_lanes_send_at_the_same_time_but_never_one_key(outbox, receiver):
    outbox.subscribe("s", receiver.url(), max_in_flight=4)
    receiver.behave = lambda request: Answer(delay_s=0.02)
    for _ in range(3):
        outbox.emit_keys(40)
    outbox.relay().wait_leader()
    receiver.wait_for(120)
    assert receiver.most_in_flight == 4
    assert all(ids == sorted(ids) for ids in receiver.by_key().values())


def test_a_poison_event_that_crashes_the_receiver(outbox, receiver):
    """Its requests break, the others get through: it is parked and ends up dead."""
    outbox.subscribe("s", receiver.url(), max_attempts=4, max_in_flight=2)
    poison = outbox.emit(key="poison")[0]
    behind = outbox.emit(key="poison")[0]
    receiver.behave = bad_for([poison], RESET)
    others = outbox.emit_keys(20)
    outbox.relay().wait_leader()
    wait.until(lambda: outbox.deliveries("status", "status = 'dead'") == [("dead",)] or
               outbox.emit(key="other") and False, 30, "the poison to be dead", 0.1)
    wait.until(lambda: {behind, *others} <= set(receiver.ids()), 20, "the others")
    assert poison not in receiver.ids()


def test_too_many_parked_keys_stop_the_reading(outbox, receiver):
    """Memory and the table stay bounded when a receiver refuses everything."""
    outbox.subscribe("s", receiver.url(), max_attempts=1000, retry_base_ms=60000,
                     retry_max_ms=60000)
    receiver.behave = lambda request: Answer(500)
    for _ in range(10):
        outbox.emit_keys(1000)
    relay = outbox.relay(OUTBOX_RELAY_MAX_PARKED_KEYS="50",
                         OUTBOX_RELAY_BUFFER_BYTES=str(1 << 20)).wait_leader()
    wait.until(lambda: relay.metric("outbox_relay_parked_keys") > 50, 20, "keys to be parked")
    # Each key is parked by its first request, so when no request follows no key does.
    seen = []

    def at_rest():
        seen.append(len(receiver.requests))
        return len(seen) > 20 and len(set(seen[-20:])) == 1
    wait.until(at_rest, 20, "requests to end")
    assert len(outbox.deliveries()) < 5000


@pytest.mark.parametrize("wake", ["listen", "poll"])
def test_the_lag_grows_while_an_endpoint_is_down(outbox, receiver, wake):
    """Also with what is emitted once the relay has no room and reads no more."""
    outbox.subscribe("s", receiver.url())
    receiver.behave = lambda request: Answer(503)
    relay = outbox.relay(OUTBOX_RELAY_WAKE=wake, OUTBOX_RELAY_BUFFER_BYTES=str(1 << 20)).wait_leader()
    total = 0
    for _ in range(4):
        total += len(outbox.emit_keys(5000))
        wait.until(lambda: relay.metric("outbox_relay_lag_events") == total, 20, f"a lag of {total}")
    assert relay.metric("outbox_relay_events_read_total") < total, "the test fills no buffer"
    assert relay.metric("outbox_relay_lag_seconds") > 0
    receiver.behave = lambda request: None
    receiver.wait_for(total, 60)
    wait.until(lambda: relay.metric("outbox_relay_lag_events") == 0, 10, "no lag")


def test_the_lag_counts_what_too_many_parked_keys_keep_from_being_read(outbox, receiver):
    outbox.subscribe("s", receiver.url(), max_attempts=1000, retry_base_ms=60000,
                     retry_max_ms=60000)
    receiver.behave = lambda request: Answer(500)
    relay = outbox.relay(OUTBOX_RELAY_MAX_PARKED_KEYS="2").wait_leader()
    refused = outbox.emit_keys(3)
    told = "too many parked keys; reading has stopped"
    wait.until(lambda: relay.logged(told), 20, "the log to tell it")
    wait.until(lambda: outbox.status()["lag_events"] == 0, 20, "the parked ones to be passed")
    waiting = outbox.emit_keys(200)
    wait.until(lambda: relay.metric("outbox_relay_lag_events") == 200, 20, "the lag")
    oldest = outbox.value("select extract(epoch from min(created_at))::float from outbox.event"
                          " where event_id = any(%s::uuid[])", (waiting,))
    wait.until(lambda: relay.metric("outbox_relay_lag_seconds") > 0, 20, "its age")
    assert abs(time.time() - relay.metric("outbox_relay_lag_seconds") - oldest) < 1
    assert relay.log.read_text(encoding="utf-8").count(told) == 1
    receiver.behave = lambda request: None
    for event in refused:
        outbox.query("select outbox.skip('s', %s)", (event,))
    receiver.wait_for(200)
    wait.until(lambda: relay.logged("reading has resumed"), 10, "the log to tell that it goes on")
    wait.until(lambda: relay.metric("outbox_relay_lag_seconds") == 0, 10, "no lag")


def test_pause_and_resume(outbox, receiver):
    outbox.subscribe("s", receiver.url())
    relay = outbox.relay().wait_leader()
    first = outbox.emit(count=2)
    receiver.wait_for(2)
    outbox.query("select outbox.pause('s', 'maintenance')")
    wait.until(lambda: relay.metric("outbox_relay_subscription_state") == 1, 10, "the pause")
    second = outbox.emit(count=2)
    relay.wait_asleep()
    assert receiver.count() == 2
    assert outbox.status()["state_reason"] == "maintenance"
    outbox.query("select outbox.resume('s')")
    receiver.wait_for(4)
    assert receiver.ids() == first + second


@pytest.mark.parametrize("way", ["id", "time", "beginning"])
def test_replay(outbox, receiver, way):
    outbox.subscribe("s", receiver.url())
    outbox.relay().wait_leader()
    old = outbox.emit(count=2)
    since = outbox.value("select clock_timestamp()")
    new = outbox.emit(count=3)
    receiver.wait_for(5)
    if way == "id":
        outbox.query("select outbox.replay('s', (select id from outbox.event where event_id = %s))",
                     (new[0],))
    elif way == "time":
        outbox.query("select outbox.replay('s', %s)", (since,))
    else:
        outbox.query("select outbox.replay('s', 1)")
    again = (old if way == "beginning" else []) + new
    receiver.wait_for(5 + len(again))
    assert receiver.ids() == old + new + again
    wait.until(lambda: outbox.status()["lag_events"] == 0, 10, "the cursor is stored")
    last = outbox.emit()
    receiver.wait_for(6 + len(again))
    assert receiver.ids()[-1:] == last


def test_replay_while_it_sends(outbox, receiver):
    outbox.subscribe("s", receiver.url())
    receiver.behave = lambda request: Answer(delay_s=0.001)
    outbox.relay().wait_leader()
    outbox.emit_keys(2000)
    receiver.wait_for(500)
    seen = receiver.count()
    outbox.query("select outbox.replay('s', 1)")
    receiver.wait_for(seen + 1990, 60)  # some may have been in flight
    wait.until(lambda: outbox.status()["lag_events"] == 0, 30, "the cursor is stored")
    assert len(set(receiver.ids())) == 2000
    assert outbox.value("select position from outbox.subscription") == 2000
