"""HTTPS callbacks: whose certificate is trusted, and what an operator is told when it is not."""

import ssl
import subprocess

import pytest

from lib import wait
from receiver import Answer


class Authority:
    """A private CA; its files are made for one test."""

    def __init__(self, directory):
        self.directory = directory
        self.cert = directory / "ca.pem"
        self._openssl("req", "-x509", *self._new_key("ca"), "-out", self.cert, "-days", "2",
                      "-subj", "/CN=Test CA")

    def context(self, name, days=2):
        """A server with a certificate for `name`, such as IP:127.0.0.1."""
        request, cert, extensions = (self.directory / f"{part}.pem" for part in ("req", "cert", "ext"))
        extensions.write_text(f"subjectAltName={name}\n", encoding="ascii")
        self._openssl("req", *self._new_key("server"), "-out", request, "-subj", "/CN=server")
        self._openssl("x509", "-req", "-in", request, "-CA", self.cert, "-CAkey",
                      self.directory / "ca.key", "-CAcreateserial", "-out", cert, "-days", str(days),
                      "-extfile", extensions)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, self.directory / "server.key")
        return context

    def _new_key(self, name):
        return "-newkey", "rsa:2048", "-nodes", "-keyout", self.directory / f"{name}.key"

    @staticmethod
    def _openssl(*words):
        subprocess.run(["openssl", *words], check=True, capture_output=True, timeout=60)


@pytest.fixture(name="authority")
def fixture_authority(tmp_path):
    return Authority(tmp_path)


@pytest.fixture(name="secure")
def fixture_secure(receiver):
    """secure(context): the receiver, by HTTPS from now on; returns its URL."""
    def start(context):
        receiver.stop()
        receiver.start(context)
        return f"https://127.0.0.1:{receiver.port}/events"
    return start


def test_a_private_ca_is_trusted_when_it_is_named(outbox, receiver, authority, secure):
    outbox.subscribe("s", secure(authority.context("IP:127.0.0.1")))
    relay = outbox.relay().wait_leader()
    events = outbox.emit()
    wait.until(lambda: "issuer certificate" in (outbox.status()["last_error"] or ""), 10, "the reason")
    assert receiver.requests == []
    relay.stop()
    outbox.relay(OUTBOX_RELAY_CA_FILE=str(authority.cert)).wait_leader()
    receiver.wait_for(1)
    assert receiver.ids() == events


@pytest.mark.parametrize("name, days, told", [
    ("DNS:shop.example.org", 2, "no alternative certificate subject name matches"),
    ("IP:127.0.0.1", -1, "expired"),
], ids=["wrong host", "expired"])
def test_a_bad_certificate_is_refused_and_named(outbox, receiver, authority, secure, name, days, told):
    outbox.subscribe("s", secure(authority.context(name, days)))
    relay = outbox.relay(OUTBOX_RELAY_CA_FILE=str(authority.cert)).wait_leader()
    outbox.emit()
    wait.until(lambda: told in (outbox.status()["last_error"] or ""), 10, "the reason")
    assert receiver.requests == [] and outbox.deliveries() == []
    assert relay.logged(told)


def test_a_ca_file_that_is_missing_is_named(outbox, receiver, authority, secure):
    outbox.subscribe("s", secure(authority.context("IP:127.0.0.1")))
    outbox.relay(OUTBOX_RELAY_CA_FILE="/nowhere/ca.pem").wait_leader()
    outbox.emit()
    wait.until(lambda: "/nowhere/ca.pem" in (outbox.status()["last_error"] or ""), 10, "the reason")
    assert receiver.requests == []


@pytest.mark.parametrize("status", [308, 408, 425, 429, 503])
def test_retry_after(outbox, receiver, authority, secure, status):
    """By libcurl, as by the relay's own HTTP in test_failures.py."""
    outbox.subscribe("s", secure(authority.context("IP:127.0.0.1")))
    receiver.behave = lambda request: Answer(status, headers={"Retry-After": "20"})
    relay = outbox.relay(OUTBOX_RELAY_CA_FILE=str(authority.cert)).wait_leader()
    outbox.emit()
    wait.until(lambda: relay.logged('"retry_in_ms":20000'), 10, "the wait that was asked for")
