"""What an operator reads at night: each trouble once, what it is, and what to do about it."""

import json

import pytest

from lib import wait
from receiver import RESET, Answer


@pytest.fixture(name="start")
def fixture_start(outbox):
    """start(): a relay that logs as in production."""
    return lambda **settings: outbox.relay(LOG_LEVEL="info", **settings)


def lines(relay, *levels):
    """The log lines of these levels, as dictionaries."""
    text = relay.log.read_text(encoding="utf-8")
    return [line for line in map(json.loads, text.splitlines()) if line["level"] in levels]


def troubles(relay):
    return lines(relay, "warn", "error")


def test_a_database_that_stays_away_is_told_once(outbox, start):
    relay = outbox.relay({"shop": "host=127.0.0.1 port=1 dbname=x"}, LOG_LEVEL="info")
    wait.until(lambda: relay.metric("outbox_relay_reconnects_total") >= 4, 20, "attempts")
    [line] = troubles(relay)
    assert "Connection refused" in line["reason"] and "\n" not in line["reason"]
    assert start().wait_leader() and troubles(outbox.relays[-1]) == []


def test_a_database_without_outbox_tells_what_to_run(outbox, pg):
    pg.query("postgres", "grant connect on database postgres to relay")
    relay = outbox.relay({"shop": pg.dsn("postgres", "relay")}, LOG_LEVEL="info")
    wait.until(lambda: troubles(relay), 10, "the trouble")
    assert "outbox-relay init" in troubles(relay)[0]["hint"]


def test_a_missing_right_is_named(outbox, receiver, start):
    outbox.subscribe("s", receiver.url())
    outbox.query("revoke update on outbox.subscription from outbox_relay")
    outbox.emit()
    relay = start()
    wait.until(lambda: troubles(relay), 20, "the trouble")
    line = troubles(relay)[0]
    assert "permission denied for table subscription (SQLSTATE 42501)" in line["reason"]
    assert "grant outbox_relay" in line["hint"]
    outbox.query("grant update on outbox.subscription to outbox_relay")
    wait.until(lambda: outbox.status()["lag_events"] == 0, 20, "it to go on")


@pytest.mark.parametrize("sqlstate, words, advice", [
    ("42P01", "Relation »outbox.lease« existiert nicht", "outbox-relay init"),
    ("42501", "keine Berechtigung für Tabelle lease", "grant outbox_relay"),
    ("P0001", 'relation "outbox.lease" does not exist', None),
])
def test_the_hint_does_not_depend_on_the_servers_language(outbox, start, sqlstate, words, advice):
    outbox.query(f"""
        create function refuse() returns trigger language plpgsql as
        $$ begin raise exception '{words}' using errcode = '{sqlstate}'; end $$;
        create trigger refuse before update on outbox.lease for each row execute function refuse()""")
    relay = start()
    line = wait.until(lambda: troubles(relay), 20, "the trouble")[0]
    assert line["reason"].endswith(f"{words} (SQLSTATE {sqlstate})")
    assert (advice in line["hint"]) if advice else ("hint" not in line)


def test_a_lost_lease_is_told(outbox, receiver, start):
    outbox.subscribe("s", receiver.url())
    relay = start().wait_leader()
    outbox.query("update outbox.lease set epoch = epoch + 1")
    outbox.emit()
    wait.until(lambda: troubles(relay), 10, "the trouble")
    assert troubles(relay)[0]["reason"] == "another relay has been elected"
    relay.wait_leader()
    assert len(troubles(relay)) == 1


def test_an_endpoint_that_is_down_is_told_once(outbox, receiver, start):
    outbox.subscribe("s", receiver.url(), max_in_flight=4)
    receiver.behave = lambda request: Answer(503, {"detail": "closed for tonight"})
    relay = start().wait_leader()
    outbox.emit_keys(40)
    receiver.wait_for_requests(15)
    [line] = troubles(relay)
    assert line["subscription"] == "s" and "closed for tonight" in line["error"]
    receiver.behave = lambda request: None
    receiver.wait_for(40)
    assert [line["message"] for line in lines(relay, "info")].count("endpoint is back") == 1
    assert len(troubles(relay)) == 1


def test_a_poison_event_is_named_when_it_is_given_up(outbox, receiver, start):
    outbox.subscribe("s", receiver.url(), max_attempts=3)
    [poison] = outbox.emit(key="poison")
    receiver.behave = lambda request: RESET if poison in request.ids else None
    relay = start().wait_leader()

    def dead():
        outbox.emit(key="others")
        return [line for line in troubles(relay) if line["message"] == "event is dead"]
    [line] = wait.until(dead, 30, "the death", 0.05)
    assert line["event_id"] == poison and "reset" in line["error"] and line["attempts"] >= 3
