"""Batches: form, partial answers, halving."""

import pytest

from lib import wait
from receiver import Answer


def test_form(outbox, receiver):
    secret = outbox.subscribe("s", receiver.url(), batch_size=10, max_in_flight=1)
    events = outbox.emit_keys(25)
    outbox.relay().wait_leader()
    receiver.wait_for(25)
    assert receiver.ids() == events
    assert max(len(request.events) for request in receiver.requests) == 10
    for request in receiver.requests:
        assert request.batch
        assert request.headers["content-type"] == "application/cloudevents-batch+json"
        assert request.signed_with(secret)
    assert len({request.headers["webhook-id"] for request in receiver.requests}) == \
        len(receiver.requests)


def test_some_events_fail(outbox, receiver):
    """Those named are parked, the others count as delivered."""
    outbox.subscribe("s", receiver.url(), batch_size=10, max_in_flight=1, max_attempts=3)
    events = outbox.emit_keys(10)
    bad, worse = events[3], events[7]

    def behave(request):
        failed = [{"id": bad, "error": "not now", "permanent": False}] * (bad in request.ids)
        failed += [{"id": worse, "error": "never", "permanent": True}] * (worse in request.ids)
        return Answer(200, {"failed": failed})

    receiver.behave = behave
    outbox.relay().wait_leader()
    receiver.wait_for(8)
    wait.until(lambda: outbox.deliveries("event_id::text, status, attempts, last_error") ==
               [(bad, "dead", 3, "not now"), (worse, "dead", 1, "never")], 20, "both to be dead")
    assert len([r for r in receiver.requests if worse in r.ids]) == 1
    assert len([r for r in receiver.requests if bad in r.ids]) == 3
    assert sorted(receiver.ids()) == sorted(set(events) - {bad, worse})


def test_later_events_of_a_failed_key_wait(outbox, receiver):
    """As the shipped inbox answers: what it did not try is among the failed."""
    outbox.subscribe("s", receiver.url(), batch_size=10, max_in_flight=1, max_attempts=100)
    events = outbox.emit(key="k", count=4)

    def behave(request):
        return Answer(200, {"failed": [{"id": event, "error": "no"} for event in request.ids
                                       if event in events[1:]]})

    receiver.behave = behave
    outbox.relay().wait_leader()
    receiver.wait_for(1)
    wait.until(lambda: outbox.deliveries() == [("retrying",), ("blocked",), ("blocked",)], 10,
               "the rest to be parked")
    receiver.behave = lambda request: None
    receiver.wait_for(4)
    assert receiver.ids() == events


@pytest.mark.parametrize("count", [1, 3])
def test_a_refused_batch_is_halved_until_the_culprits_are_found(outbox, receiver, count):
    outbox.subscribe("s", receiver.url(), batch_size=64, max_in_flight=1, max_attempts=1)
    events = outbox.emit_keys(64)
    bad = {events[5], events[33], events[34]} if count == 3 else {events[5]}
    receiver.behave = lambda request: Answer(422) if bad & set(request.ids) else None
    outbox.relay().wait_leader()
    receiver.wait_for(64 - count)
    wait.until(lambda: outbox.deliveries() == [("dead",)] * count, 10, "the culprits to be dead")
    assert sorted(receiver.ids()) == sorted(set(events) - bad)
    assert all(ids == sorted(ids) for ids in receiver.by_key().values())
    # 64, 32, 16, 8, 4, 2, 1 and the parts that go through
    assert len(receiver.requests) <= 16 * count
    outbox.emit_keys(64)
    receiver.wait_for(128 - count)
    assert len(receiver.requests[-1].events) == 64, "batches are whole again"


@pytest.mark.parametrize("body", [b'{"failed": [{"id": "nonsense"}]}', b'{"failed": [',
                                  b'{"failed": 7}'])
def test_an_unreadable_list_of_failures_loses_nothing(outbox, receiver, body):
    """It is taken as a refusal of all."""
    outbox.subscribe("s", receiver.url(), batch_size=4, max_in_flight=1, max_attempts=1)
    events = outbox.emit_keys(4)
    receiver.behave = lambda request: Answer(200, body, accepts=False)
    outbox.relay().wait_leader()
    wait.until(lambda: outbox.deliveries() == [("dead",)] * 4, 10, "all to be dead")
    receiver.behave = lambda request: None
    outbox.query("select outbox.redrive('s')")
    receiver.wait_for(4)
    assert sorted(receiver.ids()) == sorted(events)


def test_a_list_of_failures_of_any_size(outbox, receiver):
    """With long reasons the answer has hundreds of kilobytes."""
    outbox.subscribe("s", receiver.url(), batch_size=1000, max_in_flight=1, max_attempts=1)
    outbox.emit_keys(1000)
    receiver.behave = lambda request: Answer(200, {"failed": [
        {"id": event, "error": "ä" * 400, "permanent": True} for event in request.ids]})
    outbox.relay().wait_leader()
    wait.until(lambda: outbox.deliveries() == [("dead",)] * 1000, 20, "all to be dead")
    assert outbox.deliveries("distinct last_error, 1 as id") == [("ä" * 250, 1)]


def test_a_batch_keeps_its_id_over_retries(outbox, receiver):
    outbox.subscribe("s", receiver.url(), batch_size=10, max_in_flight=1)
    receiver.behave = lambda request: Answer(503)
    events = outbox.emit_keys(10)
    outbox.relay().wait_leader()
    receiver.wait_for_requests(4)
    receiver.behave = lambda request: None
    receiver.wait_for(10)
    assert receiver.ids() == events
    same = [r.headers["webhook-id"] for r in receiver.requests if len(r.events) == 10]
    assert len(set(same)) == 1


def test_the_batch_size_shrinks_while_a_batch_waits(outbox, receiver):
    """What was put together for the old size is taken apart: nothing is taken for delivered."""
    outbox.subscribe("s", receiver.url(), batch_size=50, max_in_flight=1)
    receiver.behave = lambda request: Answer(503)
    events = outbox.emit_keys(50)
    outbox.relay().wait_leader()
    receiver.wait_for_requests(2)
    outbox.subscribe("s", receiver.url(), batch_size=1)
    wait.until(lambda: not receiver.requests[-1].batch, 10, "single events")
    receiver.behave = lambda request: None
    receiver.wait_for(50)
    assert receiver.ids() == events


def test_lanes_are_added_and_taken_away(outbox, receiver):
    outbox.subscribe("s", receiver.url(), max_in_flight=1)
    receiver.behave = lambda request: Answer(delay_s=0.005)
    outbox.relay().wait_leader()
    for _ in range(3):
        outbox.emit_keys(200)
    for lanes in (7, 2, 16, 1):
        receiver.wait_for(receiver.count() + 50)
        outbox.subscribe("s", receiver.url(), max_in_flight=lanes)
    receiver.wait_for(600, 30)
    assert receiver.count() == 600 == len(set(receiver.ids()))
    assert all(ids == sorted(ids) for ids in receiver.by_key().values())
    assert receiver.most_in_flight > 2
