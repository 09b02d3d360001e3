"""What receivers and refused events can't do to the relay's memory."""

import json
from pathlib import Path

import pytest

from lib import process, wait
from receiver import Answer

pytestmark = pytest.mark.skipif(bool(process.sanitizer_options()),
                                reason="a sanitizer has memory of its own")

MIB = 1 << 20
MOST_MIB = 64


def peak_mib(relay):
    status = Path(f"/proc/{relay.process.pid}/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def large(outbox, key, size):
    return outbox.emit(key, payload=json.dumps({"text": "x" * (size - 20)}))[0]


def requests_to(receiver, path):
    return sum(request.path == path for request in receiver.requests)


def test_large_answers_of_many_lanes(outbox, receiver):
    """A receiver that answers with its whole home page, and one that pretends to name failed events."""
    for name in ("page", "object"):
        outbox.subscribe(name, receiver.url(f"/{name}"), max_in_flight=64)
    answers = {"/page": Answer(200, b"<" * MIB), "/object": Answer(200, b"{" + b" " * MIB)}
    receiver.behave = lambda request: answers[request.path]
    relay = outbox.relay().wait_leader()
    events = outbox.emit_keys(200)
    wait.until(lambda: requests_to(receiver, "/page") >= len(events), 60, "all events")
    # The object may have named the event after what is kept of it, so that it is sent again.
    wait.until(lambda: requests_to(receiver, "/object") >= 2 * len(events), 60, "all events twice")
    assert peak_mib(relay) < MOST_MIB


def test_large_events_that_are_refused(outbox, receiver):
    """By all of many subscriptions; they are tried again one by one."""
    names = [f"s{number}" for number in range(8)]
    for name in names:
        outbox.subscribe(name, receiver.url(f"/{name}"), max_attempts=1000, retry_base_ms=1,
                         retry_max_ms=1)
    receiver.behave = lambda request: Answer(422)
    relay = outbox.relay().wait_leader()
    for key in range(20):
        large(outbox, str(key), MIB * 9 // 10)
    wait.until(lambda: len(outbox.deliveries(where="attempts > 1")) == 20 * len(names), 120,
               "all to be tried again")
    assert peak_mib(relay) < MOST_MIB


def test_large_refused_events_hold_up_no_other_key(outbox, receiver):
    outbox.subscribe("s", receiver.url(), max_attempts=1000, retry_base_ms=1, retry_max_ms=1)
    receiver.behave = lambda request: Answer(422)
    outbox.relay().wait_leader()
    for key in range(20):
        large(outbox, str(key), MIB * 9 // 10)
    wait.until(lambda: len(outbox.deliveries(where="attempts > 0")) == 20, 60, "all to be refused")
    receiver.behave = lambda request: \
        None if request.events[0]["subject"] == "small" else Answer(422, delay_s=60)
    before = len(receiver.requests)
    receiver.wait_for_requests(before + 1)
    small = outbox.emit("small")
    receiver.wait_for(1)
    assert receiver.ids() == small
