"""The commands as logins that are in outbox_operator or outbox_reader alone."""

import json

import pytest

from command_line import NO_EVENT, CommandLine

URL = "http://127.0.0.1:9/events"


@pytest.fixture(name="owner", scope="module")
def fixture_owner(pg):
    made = CommandLine(pg, "command_line_roles")
    made("init")
    return made


@pytest.fixture(name="operator", scope="module")
def fixture_operator(owner):
    return owner.login("outbox_operator")


@pytest.fixture(name="billing")
def fixture_billing(owner):
    owner("subscribe", "billing", "--url", URL)
    yield "billing"
    owner("unsubscribe", "billing")


def test_an_operator_subscribes_and_sees_the_secret(owner, operator):
    printed = operator("subscribe", "k", "--url", URL)
    assert "subscription k created" in printed and owner.newest_secret() in printed
    assert "whsec_" not in operator("subscribe", "k", "--batch-size", "10")
    assert operator.json("subscriptions", "k")[0]["batch_size"] == 10
    assert "removed" in operator("unsubscribe", "k")


def test_a_subscription_that_lost_its_secret_gets_one_that_is_shown(owner, operator, billing):
    owner.pg.query(owner.database, "delete from outbox.secret")
    printed = operator("subscribe", billing)
    assert owner.newest_secret() in printed


def test_an_operator_rotates_and_sees_the_new_secret(owner, operator, billing):
    old = owner.newest_secret()
    printed = operator("secrets", billing, "--rotate")
    assert owner.newest_secret() in printed and old not in printed
    assert [row["valid"] for row in operator.json("secrets", billing)] == [True, True]


def test_sql_returns_the_secret_that_is_made(owner, billing):
    made = owner.value(f"select new_secret from outbox.subscribe('sql', '{URL}')")
    assert made == owner.newest_secret()
    assert owner.value(f"select outbox.rotate_secret('{billing}')") == owner.newest_secret()
    owner("unsubscribe", "sql")


def test_an_operator_operates(owner, operator, billing):
    event = owner.emit("1")
    owner.park(billing, event, "dead")
    assert event in operator("dead") and event in operator("events", event)
    assert operator("redrive", billing, event).startswith("1 dead event")
    assert "is skipped" in operator("skip", billing, event)
    assert "will be replayed" in operator("replay", billing, "--from-beginning")
    assert "will be replayed" in operator("replay", billing, "--from-time", "2020-01-01")
    assert "is paused" in operator("pause", billing, "--reason", "it moves")
    assert "it moves" in operator("status")
    assert "is active" in operator("resume", billing)
    assert "no active relay" in operator("status", "--check", status=1, stream="stdout")


def test_a_reader_looks_and_changes_nothing(owner, billing):
    reader = owner.login("outbox_reader")
    event = owner.emit("2")
    owner.park(billing, event, "dead")
    for words in (["status"], ["status", billing], ["events"], ["events", event], ["dead"],
                  ["secrets"], ["subscriptions", billing]):
        assert billing in reader(*words)
        assert json.loads(reader(*words, "--json"))
    assert "no active relay" in reader("status", "--check", status=1, stream="stdout")

    def state():
        return [owner.json(command) for command in ("subscriptions", "dead", "secrets")]

    before = state()
    for words in (["subscribe", billing, "--batch-size", "9"], ["unsubscribe", billing],
                  ["redrive", billing, "--all"], ["skip", billing, event],
                  ["replay", billing, "--from-beginning"], ["pause", billing],
                  ["resume", billing], ["secrets", billing, "--rotate"],
                  ["redrive", billing, NO_EVENT]):
        error = reader(*words, status=1)
        assert "permission denied" in error and error.count("\n") == 1
    assert before == state()
