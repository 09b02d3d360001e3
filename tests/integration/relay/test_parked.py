"""Keys that are held back while operators and the relay change the same rows, and poison: whatever
happens at the same time, no key is forgotten and none overtakes itself."""

import threading
import time

import pytest

from lib import wait
from receiver import RESET, Answer


def refuse(event_ids, status=500):
    """Behaviour: refuses requests with one of these events."""
    return lambda request: Answer(status) if set(event_ids) & set(request.ids) else None


def held_back(outbox):
    return dict(outbox.query("select status, count(*) from outbox.delivery group by 1"))


def test_a_skip_and_what_comes_behind_exclude_each_other(outbox, receiver):
    """The skip is not committed yet when the relay parks the next events of the key."""
    outbox.subscribe("s", receiver.url(), max_attempts=1000, retry_base_ms=60000, retry_max_ms=60000)
    bad = outbox.emit(key="k")
    receiver.behave = refuse(bad)
    relay = outbox.relay().wait_leader()
    wait.until(lambda: held_back(outbox) == {"retrying": 1}, 10, "the event to be parked")
    operator = outbox.connect()
    operator.autocommit = False
    with operator.cursor() as cursor:
        cursor.execute("select outbox.skip('s', %s)", (bad[0],))
        behind = outbox.emit(key="k", count=3)
        wait.until(lambda: outbox.value(
            "select count(*) from pg_locks where not granted") > 0, 10, "the relay to wait")
    operator.commit()
    operator.close()
    receiver.wait_for(3)
    assert receiver.ids() == behind
    wait.until(lambda: relay.metric("outbox_relay_parked_keys") == 0, 10, "the key to be free")


def test_skipping_an_event_under_way_does_not_free_its_key(outbox, receiver):
    outbox.subscribe("s", receiver.url(), max_attempts=1000, retry_base_ms=1, retry_max_ms=1)
    bad, second = outbox.emit(key="k", count=2)
    answer = threading.Event()
    receiver.behave = refuse([bad])
    relay = outbox.relay().wait_leader()
    wait.until(lambda: held_back(outbox) == {"retrying": 1, "blocked": 1}, 10, "the key to be parked")

    def hold(request):
        if bad in request.ids:
            answer.wait(10)
            return None
        return Answer(500) if second in request.ids else None

    receiver.behave = hold
    wait.until(lambda: receiver.in_flight == 1, 10, "the request")

    def blocked():
        return relay.metric("outbox_relay_parked_events", status="blocked")
    wait.until(lambda: blocked() == 1, 10, "the relay to count")
    outbox.query("select outbox.skip('s', %s)", (bad,))
    wait.until(lambda: blocked() == 0, 10, "the relay to know of it")
    answer.set()
    wait.until(lambda: second in receiver.requests[-1].ids, 10, "the second")
    last = outbox.emit(key="k")[0]
    wait.until(lambda: held_back(outbox) == {"retrying": 1, "blocked": 1}, 10, "the last to wait")
    receiver.behave = lambda request: None
    wait.until(lambda: receiver.ids()[-2:] == [second, last], 10, "both, in order")


def test_a_change_of_policy_frees_keys_that_a_dead_event_holds(outbox, receiver):
    outbox.subscribe("s", receiver.url(), max_attempts=1, on_dead="block")
    bad, behind = outbox.emit(key="k", count=2)
    receiver.behave = refuse([bad])
    outbox.relay().wait_leader()
    wait.until(lambda: held_back(outbox) == {"dead": 1, "blocked": 1}, 10, "the key to be held")
    outbox.query("select outbox.subscribe('s', %s, on_dead => 'skip')", (receiver.url(),))
    receiver.wait_for(1)
    assert receiver.ids() == [behind]


def test_a_replay_gives_dead_events_another_chance(outbox, receiver):
    outbox.subscribe("s", receiver.url(), max_attempts=1)
    bad, good = outbox.emit(count=2)
    receiver.behave = refuse([bad])
    outbox.relay().wait_leader()
    wait.until(lambda: held_back(outbox) == {"dead": 1} and receiver.count() == 1, 10, "the death")
    receiver.behave = lambda request: None
    outbox.query("select outbox.replay('s', 1)")
    receiver.wait_for(3)
    assert receiver.ids() == [good, bad, good]
    assert held_back(outbox) == {}
    wait.until(lambda: outbox.query("select distinct status from outbox.event_status")
               == [("delivered",)], 10, "the cursor is stored")


def test_a_replay_into_a_parked_key(outbox, receiver):
    outbox.subscribe("s", receiver.url(), max_attempts=1000)
    before, bad, behind = outbox.emit(key="k", count=3)
    receiver.behave = refuse([bad])
    relay = outbox.relay().wait_leader()
    wait.until(lambda: held_back(outbox) == {"retrying": 1, "blocked": 1}, 10, "the key to be parked")
    outbox.query("select outbox.replay('s', 1)")
    wait.until(lambda: receiver.ids().count(before) == 1 and outbox.status()["lag_events"] == 0, 10,
               "the replay")
    receiver.behave = lambda request: None
    wait.until(lambda: held_back(outbox) == {}, 10, "nothing to be held back")
    wait.until(lambda: relay.metric("outbox_relay_parked_keys") == 0, 10, "the key to be free")
    order = list(dict.fromkeys(receiver.ids()))
    assert order == [before, bad, behind]
    last = outbox.emit(key="k")
    wait.until(lambda: receiver.ids()[-1:] == last, 10, "the key to go on")


@pytest.mark.parametrize("poll", [False, True], ids=["listen", "poll"])
def test_a_subscription_made_again_under_its_name_is_another_one(outbox, receiver, poll):
    outbox.subscribe("s", receiver.url())
    outbox.relay(OUTBOX_RELAY_WAKE="poll" if poll else "listen").wait_leader()
    events = outbox.emit(count=3)
    receiver.wait_for(3)
    wait.until(lambda: outbox.status()["lag_events"] == 0, 10, "the cursor is stored")
    outbox.query("select outbox.unsubscribe('s'), outbox.subscribe('s', %s, from_beginning => true)",
                 (receiver.url(),))
    receiver.wait_for(6)
    assert receiver.ids() == events * 2


@pytest.mark.parametrize("batch_size", [1, 10])
@pytest.mark.parametrize("answer", [RESET, Answer(delay_s=0.4, accepts=False)],
                         ids=["crash", "hang"])
def test_poison_in_the_only_lane_is_found(outbox, receiver, batch_size, answer):
    """Nothing but what stands behind it can show that the endpoint works."""
    outbox.subscribe("s", receiver.url(), max_in_flight=1, batch_size=batch_size, max_attempts=4,
                     timeout_ms=150)
    poison, behind = outbox.emit(key="poison", count=2)
    others = outbox.emit_keys(5)
    receiver.behave = lambda request: answer if poison in request.ids else None
    outbox.relay().wait_leader()
    receiver.wait_for(5, 30)
    assert poison not in receiver.ids()

    def is_dead():
        outbox.emit(key="more")
        return outbox.deliveries("event_id::text", "status = 'dead'") == [(poison,)]
    wait.until(is_dead, 30, "the poison to be dead", 0.1)
    wait.until(lambda: {behind, *others} <= set(receiver.ids()), 20, "the others")
    assert poison not in receiver.ids()


def test_an_outage_of_timeouts_burns_no_attempt(outbox, receiver):
    """However often an event timed out while the endpoint was down: its next failure is one."""
    outbox.subscribe("s", receiver.url(), timeout_ms=50, max_attempts=3, max_in_flight=2)
    receiver.behave = lambda request: Answer(delay_s=0.2, accepts=False)
    events = outbox.emit_keys(8)
    outbox.relay().wait_leader()
    receiver.wait_for_requests(20, 30)
    tried = set()

    def break_each_once_but_the_first(request):
        fresh = bool(tried) and not tried & set(request.ids)
        tried.update(request.ids)
        return RESET if fresh else None

    receiver.behave = break_each_once_but_the_first
    receiver.wait_for(8, 30)
    assert sorted(receiver.ids()) == sorted(events)
    assert held_back(outbox) == {}


def test_a_short_retry_after_does_not_end_a_long_one(outbox, receiver):
    outbox.subscribe("s", receiver.url(), max_in_flight=2)
    both = threading.Barrier(2)
    asked = []

    def behave(request):
        if len(asked) >= 2:
            return None
        asked.append(request)
        first = len(asked) == 1
        both.wait(10)
        return Answer(503, headers={"Retry-After": "3" if first else "1"}, delay_s=0 if first else 0.2)

    receiver.behave = behave
    outbox.emit_keys(20)
    outbox.relay().wait_leader()
    receiver.wait_for_requests(3)
    assert receiver.requests[2].at - receiver.requests[0].at >= 2.9


@pytest.mark.parametrize("how", ["another URL", "resume"])
def test_an_operator_need_not_wait_for_retry_after(outbox, receiver, receivers, how):
    other = receivers() if how == "another URL" else receiver
    outbox.subscribe("s", receiver.url())
    receiver.behave = lambda request: Answer(503, headers={"Retry-After": "3600"})
    relay = outbox.relay().wait_leader()
    outbox.emit()
    wait.until(lambda: relay.metric("outbox_relay_breaker_state") == 1, 10, "the breaker to open")
    receiver.behave = lambda request: None
    began = time.monotonic()
    if how == "resume":
        outbox.query("select outbox.pause('s')")
        wait.until(lambda: relay.metric("outbox_relay_subscription_state") == 1, 10, "the pause")
        outbox.query("select outbox.resume('s')")
    else:
        outbox.query("select outbox.subscribe('s', %s)", (other.url(),))
    other.wait_for(1)
    assert time.monotonic() - began < 15


def test_what_was_skipped_is_not_sent_any_more(outbox, receiver):
    """Not even when the relay had loaded it for its next attempt, for which the endpoint was down."""
    outbox.subscribe("s", receiver.url(), max_attempts=1000, retry_base_ms=1, retry_max_ms=1)
    bad = outbox.emit(key="k")
    receiver.behave = lambda request: Answer(422)
    relay = outbox.relay(OUTBOX_RELAY_BREAKER_MAX_MS="100").wait_leader()
    wait.until(lambda: outbox.deliveries("attempts > 3") == [(True,)], 10, "some attempts")
    receiver.behave = lambda request: Answer(503)
    wait.until(lambda: outbox.status()["breaker"] == "open", 10, "the breaker to open")
    outbox.query("select outbox.skip('s', %s)", (bad[0],))
    wait.until(lambda: relay.metric("outbox_relay_parked_keys") == 0, 10, "the relay to know")
    receiver.behave = lambda request: None
    later = outbox.emit(key="k")
    wait.until(lambda: outbox.status()["lag_events"] == 0, 10, "the cursor is stored")
    assert receiver.ids() == later
