"""What a request looks like, who signs it, and where it may go."""

import datetime
import json
import time

import requests

from lib import wait
from receiver import Answer

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_a_single_event(outbox, receiver):
    secret = outbox.subscribe("s", receiver.url())
    payload = {"name": "Ä\"\\\n\t€😀", "nested": {"list": [1, 2.50, None, True]}, "big": 10 ** 30}
    rows = outbox.query(
        "select outbox.emit('order', %s, 'order.created', %s, %s)::text",
        ('4"2\\', json.dumps(payload), json.dumps({
            "requestid": "x", "traceparent": TRACE, "tracestate": 'a="b\\c"', "other": {"x": [1]}})))
    outbox.relay({"shop": outbox.relay_dsn}).wait_leader()
    receiver.wait_for(1)
    request = receiver.requests[0]
    event = request.events[0]
    moment = datetime.datetime.fromisoformat(event.pop("time"))
    assert abs(moment.timestamp() - time.time()) < 60 and moment.tzinfo is not None
    assert event == {
        "specversion": "1.0", "id": rows[0][0], "source": "/shop", "type": "order.created",
        "subject": '4"2\\', "datacontenttype": "application/json",
        "partitionkey": 'order:4"2\\', "sequence": "00000000000000000001",
        "traceparent": TRACE, "tracestate": 'a="b\\c"', "data": payload}
    headers = request.headers
    assert headers["content-type"] == "application/cloudevents+json"
    assert headers["webhook-id"] == rows[0][0]
    assert abs(int(headers["webhook-timestamp"]) - time.time()) < 60
    assert headers["user-agent"].startswith("outbox-relay/")
    assert "expect" not in headers and "accept-encoding" not in headers
    assert request.signed_with(secret)


def test_traces_go_along(outbox, receiver):
    """Also with an event that is sent again from outbox.delivery; what is no trace context does not."""
    outbox.subscribe("s", receiver.url())
    receiver.behave = lambda request: Answer(422) if len(receiver.requests) == 1 else None
    no_traces = [{}, {"traceparent": 5, "tracestate": 7}, {"other": {"traceparent": TRACE}},
                 {"traceparent": TRACE.upper(), "tracestate": {"a": "="}},
                 {"traceparent": f"{TRACE}0", "tracestate": "a=\n"}]
    for headers in [{"traceparent": TRACE, "tracestate": "a=b", "x": "y"}, *no_traces]:
        outbox.query("select outbox.emit('order', '1', 'order.created', '{}', %s)",
                     (json.dumps(headers),))
    outbox.relay().wait_leader()
    receiver.wait_for(6)
    first, *others = receiver.delivered
    for event in receiver.requests[0].events[0], first:
        assert (event["traceparent"], event["tracestate"]) == (TRACE, "a=b")
    assert len(others) == 5
    assert not any(name.startswith("trace") for event in others for name in event)


def test_large_payloads(outbox, receiver):
    """Up to the limit, beside small ones, in batches; memory stays bounded."""
    outbox.subscribe("s", receiver.url(), batch_size=20, max_in_flight=4)
    text = "x" * (1024 * 1024 - 16)
    for number in range(40):
        outbox.emit(key=number)
        outbox.emit(key=number, payload=json.dumps({"t": text}))
    relay = outbox.relay().wait_leader()
    receiver.wait_for(80, 60)
    assert all(ids == sorted(ids) for ids in receiver.by_key().values())
    with open(f"/proc/{relay.process.pid}/status", encoding="ascii") as status:
        peak_kb = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    assert peak_kb < 160 * 1024


def test_the_delivery_time_begins_with_the_emit(outbox, receiver):
    """A transaction that stayed open for an hour after it is counted in full, and the help says so."""
    outbox.subscribe("s", receiver.url())
    outbox.query(
        "insert into outbox.event (txid, event_id, aggregate_type, aggregate_id, event_type,"
        " created_at, size, payload, headers) values (pg_current_xact_id(), gen_random_uuid(), 'a',"
        " '1', 'a.b', now() - interval '1 hour', 4, '{}', '{}')")
    relay = outbox.relay().wait_leader()
    receiver.wait_for(1)
    wait.until(lambda: relay.metric("outbox_relay_delivery_seconds_count") == 1, 10, "the metric")
    assert 3600 <= relay.metric("outbox_relay_delivery_seconds_sum") < 3700
    text = requests.get(f"http://127.0.0.1:{relay.port}/metrics", timeout=5).text
    [told] = [line for line in text.splitlines() if line.startswith("# HELP outbox_relay_delivery_seconds")]
    assert "outbox.emit()" in told and "commit" in told


def test_secrets_are_rotated_without_a_gap(outbox, receiver):
    old = outbox.subscribe("s", receiver.url())
    relay = outbox.relay().wait_leader()
    outbox.emit()
    receiver.wait_for(1)
    outbox.query("select outbox.rotate_secret('s', overlap => '1 second')")
    new = outbox.value("select value from outbox.secret order by id desc limit 1")
    wait.until(lambda: len(outbox.emit()) and receiver.requests[-1].signed_with(new), 10, "the new")

    def only_new():
        outbox.emit()
        return not receiver.requests[-1].signed_with(old)
    wait.until(only_new, 10, "the end of the old one", 0.05)
    count = outbox.value("select count(*) from outbox.event")
    receiver.wait_for(count)
    for request in receiver.requests:
        assert request.signed_with(old) or request.signed_with(new)
    assert any(request.signed_with(old) and request.signed_with(new)
               for request in receiver.requests)
    assert not relay.logged("whsec_"), "a secret in the log"


def test_secrets_by_reference(outbox, receiver, tmp_path):
    secret = "whsec_" + "A" * 43 + "="
    path = tmp_path / "secret"
    path.write_text(secret + "\n", encoding="ascii")
    outbox.subscribe("file", receiver.url("/file"), secret=f"file:{path}")
    outbox.subscribe("env", receiver.url("/env"), secret="env:MY_SECRET")
    outbox.subscribe("none", receiver.url("/none"), secret="env:NOT_THERE")
    relay = outbox.relay(MY_SECRET=secret).wait_leader()
    outbox.emit()
    receiver.wait_for(2)
    assert all(request.signed_with(secret) for request in receiver.requests)
    assert sorted(request.path for request in receiver.requests) == ["/env", "/file"]
    # Nothing goes out unsigned, and nothing is lost.
    assert relay.logged("no usable signing secret; nothing is sent")
    outbox.query("select outbox.rotate_secret('none')")
    receiver.wait_for(3)
    assert receiver.requests[-1].path == "/none"


def test_a_secret_that_is_mended_is_read_again(outbox, receiver, tmp_path):
    """Told once, with what is wrong and where; nobody has to tell the relay."""
    path = tmp_path / "secret"
    path.write_text("not a secret\n", encoding="ascii")
    outbox.subscribe("s", receiver.url(), secret=f"file:{path}")
    relay = outbox.relay().wait_leader()
    outbox.emit()
    wait.until(lambda: relay.logged("not whsec_ and the base64 of 24 to 64 bytes"), 10, "the reason")
    assert relay.logged(str(path)) and not relay.logged("not a secret")
    outbox.query("select pg_notify('outbox_control', '')")
    path.write_text("whsec_" + "A" * 43 + "=\n", encoding="ascii")
    receiver.wait_for(1, 30)
    assert relay.log.read_text().count("nothing is sent") == 1
    assert relay.logged("is readable again")


def test_the_allow_list(outbox, receiver):
    outbox.subscribe("in", receiver.url("/in"))
    outbox.subscribe("out", f"http://localhost:{receiver.port}/out")
    outbox.subscribe("port", f"http://127.0.0.1:{receiver.port + 1}/port")
    relay = outbox.relay(OUTBOX_RELAY_ALLOW_HOSTS=f"*.example.org,127.0.0.1:{receiver.port}")
    relay.wait_leader()
    outbox.emit(count=3)
    receiver.wait_for(3)
    relay.wait_asleep()
    assert {request.path for request in receiver.requests} == {"/in"}
    assert relay.log.read_text().count("not in OUTBOX_RELAY_ALLOW_HOSTS") == 2, "once for each"
