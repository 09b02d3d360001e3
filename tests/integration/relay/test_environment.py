"""What the relay is surrounded by must not change what it does: variables, defaults of roles and
databases, names that move."""

import os
import subprocess

import pytest

from lib import wait
from published import Relay
from receiver import Receiver
from test_https import Authority

# The relay's two HTTP clients: its own, and libcurl for https.
both_clients = pytest.mark.parametrize("scheme", ["http", "https"])


@pytest.fixture(name="authority")
def fixture_authority(tmp_path):
    return Authority(tmp_path)


def listen_by(scheme, authority, name, *receivers):
    """Lets the receivers speak https where that is wanted."""
    for receiver in receivers if scheme == "https" else ():
        receiver.stop()
        receiver.start(authority.context(name))


# Proxies

NO_PROXIES = [{"NO_PROXY": "127.0.0.1"}, {"no_proxy": "127.0.0.1"}, {"no_proxy": "*"},
              {"NO_PROXY": "*", "no_proxy": "localhost,127.0.0.0/8"}]


@pytest.mark.parametrize("environment", NO_PROXIES, ids=str)
def test_a_proxy_that_was_set_is_used(outbox, receiver, receivers, environment):
    """It may be the guard of internal addresses: no variable takes it away."""
    proxy = receivers()
    outbox.subscribe("s", receiver.url())
    outbox.relay(OUTBOX_RELAY_PROXY=proxy.url(""), **environment)
    events = outbox.emit()
    proxy.wait_for(1)
    assert proxy.ids() == events and proxy.requests[0].path == receiver.url()
    assert not receiver.requests


@pytest.mark.parametrize("name", ["http_proxy", "https_proxy", "HTTPS_PROXY", "ALL_PROXY"])
@both_clients
def test_a_proxy_that_was_not_set_is_not_used(outbox, receiver, receivers, authority, name, scheme):
    proxy = receivers()
    listen_by(scheme, authority, "IP:127.0.0.1", receiver)
    outbox.subscribe("s", receiver.url().replace("http:", f"{scheme}:"))
    outbox.relay(OUTBOX_RELAY_CA_FILE=str(authority.cert), **{name: proxy.url("")})
    events = outbox.emit()
    receiver.wait_for(1)
    assert receiver.ids() == events and not proxy.requests


# Names that move

def with_hosts(path):
    """The command before a command that is to see another /etc/hosts; skips where that can't be."""
    command = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"]), "sh", "-c",
               f'mount --bind {path} /etc/hosts && exec "$@"', "sh"]
    if subprocess.run([*command, "true"], check=False, capture_output=True).returncode != 0:
        pytest.skip("no mount namespaces for this user")
    return command


@both_clients
def test_a_changed_address_is_followed(outbox, authority, tmp_path, scheme):
    """Though the old one goes on answering on connections that are kept."""
    old = Receiver("127.0.0.2")
    new = Receiver("127.0.0.3", old.port)
    listen_by(scheme, authority, "DNS:moves.test", old, new)
    hosts = tmp_path / "hosts"
    hosts.write_text("127.0.0.2 moves.test\n", encoding="ascii")
    outbox.subscribe("s", f"{scheme}://moves.test:{old.port}/events")
    relay = Relay(outbox, None, {"OUTBOX_RELAY_CONNECTION_AGE_S": "1", "OUTBOX_RELAY_CA_FILE": str(authority.cert)},
                  with_hosts(hosts))
    outbox.relays.append(relay)
    events = []

    def goes_to(receiver):
        """Whether all of some events, of as many keys, arrive there."""
        emitted = set(outbox.emit_keys(20))
        events.extend(emitted)
        wait.until(lambda: set(events) == set(old.ids()) | set(new.ids()), 20, "all events")
        return emitted <= set(receiver.ids())

    assert goes_to(old) and not new.requests
    hosts.write_text("127.0.0.3 moves.test\n", encoding="ascii")
    wait.until(lambda: goes_to(new), 20, "the change to be followed", 0.2)
    assert all(goes_to(new) for _ in range(3)), "back to the old one"
    assert len(old.ids()) + len(new.ids()) == len(events), "delivered twice"
    for receiver in (old, new):
        receiver.stop()
