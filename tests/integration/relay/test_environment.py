"""What the relay is surrounded by must not change what it does: variables, defaults of roles and
databases, names that move."""

import contextlib
import os
import subprocess

import pytest

from lib import wait
from published import Relay
from receiver import Answer, Receiver
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


# Defaults of roles and databases

NASTY = {
    "default_transaction_isolation": "serializable",
    "default_transaction_read_only": "on",
    "default_transaction_deferrable": "on",
    "statement_timeout": "1s",
    "lock_timeout": "100ms",
    "idle_in_transaction_session_timeout": "1ms",
    "idle_session_timeout": "500ms",
    "transaction_timeout": "1s",
    "search_path": "nowhere",
    "datestyle": "SQL, DMY",
    "intervalstyle": "sql_standard",
    "timezone": "Asia/Kathmandu",
    "bytea_output": "escape",
    "extra_float_digits": "-15",
    "standard_conforming_strings": "off",
    "array_nulls": "off",
    "transform_null_equals": "on",
    "quote_all_identifiers": "on",
    "client_min_messages": "debug1",
    "client_encoding": "LATIN1",
    "row_security": "off",
    "jit": "on",
    "jit_above_cost": "0",
    "plan_cache_mode": "force_custom_plan",
    "enable_indexscan": "off",
    "enable_indexonlyscan": "off",
    "enable_partition_pruning": "off",
    "synchronous_commit": "remote_apply",
}


@contextlib.contextmanager
def nasty(outbox, whose):
    """All defaults that the server knows, of the database or of a role in it, while this lasts."""
    target = f"database {outbox.database}" if whose == "database" \
        else f"role {whose} in database {outbox.database}"
    known = {name for (name,) in outbox.query("select lower(name) from pg_settings")}
    for name, value in NASTY.items():
        if name in known:
            outbox.pg.query("postgres", f"alter {target} set {name} = '{value}'")
    try:
        yield
    finally:
        outbox.pg.query("postgres", f"alter {target} reset all")


def cursor_is_stored(connection):
    with connection.cursor() as cursor:
        cursor.execute("select position = (select max(id) from outbox.event) from outbox.subscription")
        return cursor.fetchone()[0]


@pytest.mark.parametrize("wake", ["listen", "poll"])
@pytest.mark.parametrize("whose", ["database", "relay"])
def test_defaults_change_nothing_in_the_relay(outbox, receiver, whose, wake):
    outbox.subscribe("s", receiver.url())
    session = outbox.connect()  # before the defaults: they may change what emitters do

    def emit(payload):
        with session.cursor() as cursor:
            cursor.execute("select outbox.emit('order', '1', 'order.created', %s)::text", (payload,))
            return cursor.fetchone()[0]

    with nasty(outbox, whose):
        relay = outbox.relay(OUTBOX_RELAY_WAKE=wake,
                             OUTBOX_RELAY_MAINTAIN_INTERVAL_S="1").wait_leader()
        events = [emit('{"text": "Łódź 日本 \\\\ \\u00e9"}')]
        receiver.wait_for(1)
        assert receiver.delivered[0]["data"] == {"text": "Łódź 日本 \\ é"}
        receiver.behave = lambda request: Answer(422)
        events.append(emit("{}"))
        wait.until(lambda: len(receiver.requests) >= 4, 20, "the refused event to be tried again")
        receiver.behave = lambda request: None
        receiver.wait_for(2)
        with session.cursor() as cursor:
            # A row that each write looks at is held, for longer than all of those time limits.
            cursor.execute("begin; select from outbox.lease for update; select pg_sleep(2); commit")
        events.append(emit("{}"))
        receiver.wait_for(3)
        wait.until(lambda: cursor_is_stored(session), 20, "the cursor is stored")
        assert receiver.ids() == events
        assert not relay.logged("begins anew"), relay.log
        relay.stop()
    session.close()


@pytest.mark.parametrize("whose", ["database", "owner"])
def test_defaults_change_nothing_in_the_commands(outbox, receiver, run, whose):
    with nasty(outbox, "database" if whose == "database" else outbox.database):
        run("init")
        run("subscribe", "s", "--url", receiver.url())
        assert run.json("status")[0]["subscription"] == "s"
        run("replay", "s", "--from-time", "2026-01-31 12:00+01")
        run("pause", "s")
        run("resume", "s")
        run("unsubscribe", "s")


# Certificates

@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "CURL_CA_BUNDLE"])
def test_no_variable_adds_an_authority(outbox, receiver, authority, name):
    """OUTBOX_RELAY_CA_FILE does."""
    listen_by("https", authority, "IP:127.0.0.1", receiver)
    outbox.subscribe("s", receiver.url().replace("http:", "https:"))
    outbox.relay(**{name: str(authority.cert)})
    outbox.emit()
    wait.until(lambda: "issuer certificate" in (outbox.status()["last_error"] or ""), 20, "the reason")
    assert not receiver.requests
