"""What a request looks like, who signs it, and where it may go."""

import datetime
import json
import ssl
import subprocess
import time

from lib import wait

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
    assert relay.logged("no valid secret")
    outbox.query("select outbox.rotate_secret('none')")
    receiver.wait_for(3)
    assert receiver.requests[-1].path == "/none"


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
    assert relay.logged("not in the allow-list")


def test_https_is_verified(outbox, receivers, tmp_path):
    """A self-signed certificate is refused, unless it is the one to trust."""
    receiver = receivers()
    receiver.stop()
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                    "-keyout", key, "-out", cert, "-subj", "/CN=localhost",
                    "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    receiver.start(context)
    outbox.subscribe("s", f"https://127.0.0.1:{receiver.port}/events")
    relay = outbox.relay().wait_leader()
    events = outbox.emit()
    wait.until(lambda: relay.metric("outbox_relay_requests_total", outcome="down") >= 1, 10,
               "the refusal")
    assert receiver.requests == []
    wait.until(lambda: "certificate" in (outbox.status()["last_error"] or ""), 10, "the reason")
    relay.stop()
    outbox.relay(OUTBOX_RELAY_CA_FILE=str(cert)).wait_leader()
    receiver.wait_for(1)
    assert receiver.ids() == events
