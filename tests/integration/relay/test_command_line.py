"""The command line of outbox-relay: what it does to the database, what it prints, how it fails."""

import json
import os
import pty
import select
import subprocess

import psycopg2
import pytest

from command_line import NO_EVENT, CommandLine
from lib import process, wait

NOWHERE = f"http://127.0.0.1:{process.free_port()}/events"


@pytest.fixture(name="run", scope="module")
def fixture_run(pg):
    made = CommandLine(pg, "command_line")
    assert "installed" in made("init")
    return made


@pytest.fixture(name="billing")
def fixture_billing(run):
    """A subscription of its own for each test."""
    run("subscribe", "billing", "--url", "http://127.0.0.1:9/events")
    yield "billing"
    run("unsubscribe", "billing")


def test_init_is_harmless_twice(run):
    assert "up to date" in run("init")


def test_init_needs_no_superuser(run):
    assert run.value("select outbox.grant_roles()") == "granted"


def test_a_new_subscription_has_a_secret_an_old_one_keeps_it(run, billing):
    assert run.value("select count(*) from outbox.secret") == 1
    again = run("subscribe", billing, "--url", "http://127.0.0.1:9/other")
    assert "whsec_" not in again and "cursor stays" in again
    assert run.value("select url from outbox.subscription") == "http://127.0.0.1:9/other"


def test_what_is_not_given_keeps_its_value(run, billing):
    run("subscribe", billing, "--url", "http://127.0.0.1:9/events", "--batch-size", "50",
        "--types", "order.*, user.created", "--on-dead=block")
    [row] = run.json("subscribe", billing, "--url", "http://127.0.0.1:9/events")
    assert (row["batch_size"], row["event_types"], row["on_dead"]) == (
        50, ["order.*", "user.created"], "block")


def test_a_change_needs_no_url(run, billing):
    assert "changed" in run("subscribe", billing, "--max-attempts", "7")
    [row] = run.json("subscriptions", billing)
    assert (row["max_attempts"], row["url"]) == (7, "http://127.0.0.1:9/events")
    assert 'subscription "other" does not exist yet' in run("subscribe", "other", status=1)


def test_subscriptions_are_listed_with_their_settings(run, billing):
    run("subscribe", billing, "--types", "order.*,user.created")
    shown = run("subscriptions")
    assert "order.*,user.created" in shown and "max_in_flight" in shown


def test_status_check_is_for_monitoring(run, billing):
    run.pg.query(run.database, "update outbox.lease set valid_until = now() + interval '1 hour'")
    try:
        assert run("status", "--check") == "ok\n"
    finally:
        run.pg.query(run.database, "update outbox.lease set valid_until = null")
    run.park(billing, run.emit("1"), "dead")
    run.pg.query(run.database, "update outbox.subscription set breaker = 'open',"
                 " last_error = 'HTTP 503', last_error_at = now() + interval '1 day'")
    wait.until(lambda: run.value("select lag_seconds from outbox.status") > 0, 10, "some lag")
    problems = run("status", billing, "--check", "--max-lag", "0", status=1, stream="stdout")
    assert [line.split(": ")[-1].split(" ", 1)[-1] for line in problems.splitlines()] == [
        "active relay", "503", "dead event", "s behind"]


def test_a_secret_comes_from_a_file(run, billing, tmp_path):
    secret = "whsec_" + "QUJD" * 11
    file = tmp_path / "secret"
    file.write_text(secret + "\n", encoding="ascii")
    run("subscribe", billing, "--url", "http://127.0.0.1:9/e", "--secret-file", str(file))
    assert run.newest_secret() == secret
    missing = run("subscribe", billing, "--url", "http://127.0.0.1:9/e", "--secret-file",
                  str(tmp_path / "none"), status=1)
    assert "No such file" in missing


@pytest.mark.parametrize("content, told", [
    ("", " is empty"), ("\n", "has no secret"), ("hidden\n", "has no secret"),
    ("whsec_QUJD\n", "has no secret"), ("whsec_" + "QUJD" * 22 + "\n", "has no secret"),
    ("whsec_" + "Q" * 43 + "\n", "has no secret")])
def test_a_file_without_a_secret_is_a_usage_error(run, tmp_path, content, told):
    file = tmp_path / "secret"
    file.write_text(content, encoding="ascii")
    error = run("subscribe", "x", "--url", NOWHERE, "--secret-file", str(file), status=2)
    assert told in error and error.count("\n") == 1
    assert "hidden" not in error and "whsec_Q" not in error


def test_a_secret_comes_from_the_environment(run, monkeypatch):
    secret = "whsec_" + "QUJE" * 11
    monkeypatch.setenv("OUTBOX_SUBSCRIPTION_SECRET", "hidden")
    error = run("subscribe", "x", "--url", NOWHERE, status=2)
    assert "OUTBOX_SUBSCRIPTION_SECRET must be a secret" in error and "hidden" not in error
    for value in (secret, "env:OTHER", "file:/run/secret"):
        monkeypatch.setenv("OUTBOX_SUBSCRIPTION_SECRET", value)
        assert run.one("subscribe", "x", "--url", NOWHERE)["new_secret"] is None
        assert run.newest_secret() == value
    run("unsubscribe", "x")


def test_sql_takes_no_type_that_can_never_match(run):
    for wrong in ("", " ", "or*", ".*", "*.a", "**", " a", "a ", "a\nb"):
        with pytest.raises(psycopg2.Error) as raised:
            run.pg.query(run.database, "select outbox.subscribe('x', %s, array['a', %s])",
                         (NOWHERE, wrong))
        assert f'"{wrong}" is not an event type' in str(raised.value)
    run.pg.query(run.database, "select outbox.subscribe('x', %s, %s)",
                 (NOWHERE, ["*", "a", "a.*", "a b", "a.b.*", "\u00e9.*"]))
    run("unsubscribe", "x")


def test_types_may_be_in_any_language(run):
    made = run.one("subscribe", "x", "--url", NOWHERE, "--types", "commande.cr\u00e9\u00e9e, \u6ce8.*,*")
    assert made["event_types"] == ["commande.cr\u00e9\u00e9e", "\u6ce8.*", "*"]
    run("unsubscribe", "x")


def test_status_tells_the_lag_and_who_is_active(run, billing):
    run.emit("1")
    assert "no active relay; none has run yet" in run("status")
    [row] = run.json("status", billing)
    assert (row["lag_events"], row["state"], row["breaker"]) == (1, "active", "closed")
    assert "no subscription \"nobody\"" in run("status", "nobody", status=1)


def test_status_watch_prints_again(run, billing):
    command = [str(process.binary("outbox-relay")), "status", "--json", "--watch", "--interval", "1",
               "--source", run.dsn]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as watching:
        lines = [json.loads(watching.stdout.readline()) for _ in range(2)]
        watching.terminate()
    assert [rows[0]["subscription"] for rows in lines] == [billing, billing]


def test_events_are_found_by_id_key_type_and_status(run, billing):
    first, second = run.emit("77"), run.emit("78")
    run.park(billing, second, "retrying")
    assert [row["status"] for row in run.json("events", first)] == ["pending"]
    assert [row["event_id"] for row in run.json("events", "--key", "78")] == [second]
    assert [row["event_id"] for row in run.json("events", "--status", "retrying")] == [second]
    assert run.json("events", "--type", "user.*") == []
    assert len(run.json("events", "--type", "order.*", "--limit", "1")) == 1
    assert run("events", NO_EVENT) == "no such event\n"


def test_events_are_those_of_the_view(run, billing):
    """The command finds them in another way: delivered and waiting ones, parked ones, those whose
    event has gone, or is not asked for any more."""
    events = [run.emit(str(key)) for key in range(6)]
    for event, status in zip(events, ("dead", "retrying", "blocked")):
        run.park(billing, event, status)
    run("subscribe", "users", "--url", NOWHERE, "--types", "user.*", "--from-beginning")
    run.park("users", events[3], "dead")
    run.pg.query(run.database, f"delete from outbox.event where event_id = '{events[0]}';"
                 f" update outbox.subscription set position = (select id from outbox.event where"
                 f" event_id = '{events[4]}'), snapshot = pg_current_snapshot(), settled_at = now()"
                 f" where name = '{billing}'")
    for status in (None, "delivered", "pending", "retrying", "blocked", "dead"):
        where = f"where status = '{status}'" if status else ""
        wanted = run.pg.query(run.database, "select event_id::text, subscription, status from"
                              f" outbox.event_status {where} order by id, subscription")
        found = run.json("events", "--limit", "10000", *(["--status", status] if status else []))
        assert [(row["event_id"], row["subscription"], row["status"]) for row in found] == wanted
        assert wanted
    run("unsubscribe", "users")


def test_a_dead_event_can_be_seen_redriven_and_skipped(run, billing):
    event = run.emit("5")
    run.park(billing, event, "dead")
    shown = run("dead")
    assert event in shown and "it says" in shown and "\x1b" not in shown
    assert run("redrive", billing, event) == "1 dead event will be retried\n"
    assert run.json("dead") == []
    assert run.json("dead", "--all")[0]["status"] == "retrying"
    assert "is skipped" in run("skip", billing, event)
    assert "is not parked in subscription billing: " in run("skip", billing, event, status=1)
    assert "is not dead in subscription billing: " in run("redrive", billing, event, status=1)
    assert run("redrive", billing, "--all") == "0 dead events will be retried\n"


@pytest.mark.parametrize("status, told", [
    (None, "it waits for its first attempt"),
    ("delivered", "it was delivered or skipped; replay delivers retained events again"),
    ("retrying", "it is being retried, next at 20"),
    ("blocked", "it is blocked behind an earlier event of its key; skip gives up on it")])
def test_redrive_says_what_became_of_an_event_that_is_not_dead(run, billing, status, told):
    event = run.emit("6")
    if status == "delivered":
        run.pg.query(run.database, "update outbox.subscription set position = e.id, floor = e.id,"
                     " deep_floor = e.id, settled_at = now() from (select max(id) as id from outbox.event) e")
    elif status:
        run.park(billing, event, status)
    assert told in run("redrive", billing, event, status=1)
    assert "there is no such event" in run("redrive", billing, NO_EVENT, status=1)


def test_replay_sets_the_cursor_back(run, billing):
    run.emit("9")
    run("subscribe", "late", "--url", "http://127.0.0.1:9/e")
    assert run.json("status", "late")[0]["lag_events"] == 0
    run("replay", "late", "--from-beginning")
    total = run.value("select count(*) from outbox.event")
    assert run.json("status", "late")[0]["lag_events"] == total
    assert "from id" in run("replay", billing, "--from-time", "2020-01-01")
    assert "nothing to replay" in run("replay", billing, "--from-time", "2100-01-01")
    run("unsubscribe", "late")


def test_pause_and_resume(run, billing):
    run("pause", billing, "--reason", "the receiver moves")
    assert "the receiver moves" in run("status")
    run("resume", billing)
    assert run.json("status")[0]["state"] == "active"


def test_a_disabled_subscription_is_not_paused(run, billing):
    run.pg.query(run.database, "update outbox.subscription set state = 'disabled'")
    assert "is disabled, so nothing is sent" in run("pause", billing, status=1)
    assert run.json("status")[0]["state"] == "disabled"
    run("resume", billing)
    assert run.json("status")[0]["state"] == "active"


def test_times_that_are_none_are_named(run, billing):
    before = run.json("secrets", billing)
    for wrong in ("rubbish", "", "-3 days", "1 day -25 hours", "999999999 years"):
        error = run("secrets", billing, "--rotate", "--overlap", wrong, status=2)
        assert f'--overlap: "{wrong}" is not a length of time' in error
        assert error.count("\n") == 1
    with pytest.raises(psycopg2.Error, match="overlap must not be negative"):
        run.value(f"select outbox.rotate_secret('{billing}', overlap => '-3 days')")
    assert run.json("secrets", billing) == before
    for wrong in ("gestern", "", "2026-13-01", "2026-01-01 12:00 Nowhere/Else"):
        error = run("replay", billing, "--from-time", wrong, status=2)
        assert f'--from-time: "{wrong}" is not a time such as' in error
        assert error.count("\n") == 1


def test_secrets_are_rotated_and_never_listed(run, billing):
    printed = run("secrets", billing, "--rotate", "--overlap", "2 hours")
    secret = run.newest_secret()
    assert secret in printed
    assert secret not in run("secrets") + json.dumps(run.json("secrets"))
    assert [row["valid"] for row in run.json("secrets", billing)] == [True, True]


def test_what_was_done_is_told_in_json(run, billing):
    event = run.emit("6")
    run.park(billing, event, "dead")
    assert run.one("redrive", billing, event) == {"subscription": billing, "redriven": 1}
    assert run.one("skip", billing, event) == {
        "subscription": billing, "event_id": event, "skipped": True}
    assert run.one("redrive", billing, "--all") == {"subscription": billing, "redriven": 0}
    assert run.one("replay", billing, "--from-id", "1") == {"subscription": billing, "from_id": 1}
    assert run.one("replay", billing, "--from-time", "2100-01-01") == {
        "subscription": billing, "from_id": None}
    assert run.one("pause", billing) == {"subscription": billing, "state": "paused"}
    assert run.one("resume", billing) == {"subscription": billing, "state": "active"}
    assert run.one("secrets", billing, "--rotate", "--overlap", "2 hours") == {
        "subscription": billing, "secret": run.newest_secret(), "overlap": "02:00:00"}


def test_a_new_secret_is_told_in_json(run):
    made = run.one("subscribe", "told", "--url", NOWHERE)
    assert made["created"] and made["new_secret"] == run.newest_secret()
    changed = run.one("subscribe", "told", "--batch-size", "3")
    assert (changed["created"], changed["new_secret"], changed["batch_size"]) == (False, None, 3)
    assert run.one("unsubscribe", "told") == {"subscription": "told", "removed": True}


def test_run_shows_on_a_terminal_what_waits(run, billing):
    run("subscribe", billing, "--url", NOWHERE)
    for key in range(3):
        run.emit(str(key))
    ours, theirs = pty.openpty()
    relay = process.start([process.binary("outbox-relay"), "run", "--listen", "off", "--source",
                           f"shop={run.dsn}"], stdout=theirs, stderr=subprocess.DEVNULL)
    try:
        shown = ""

        def waits():
            nonlocal shown
            if select.select([ours], [], [], 1)[0]:
                shown += os.read(ours, 4096).decode()
            return "about 3 events to go" in shown

        wait.until(waits, 30, "the progress line")
    finally:
        process.stop(relay)
        os.close(ours)
        os.close(theirs)


USAGE_ERRORS = [
    (["run", "--source", "a=host=x foo=bar"], "source a: invalid connection option \"foo\""),
    (["run", "--source", "a=host=x user"], "missing \"=\" after \"user\""),
    (["run", "--source", "a=postgresql://u:hidden@[::1/shop"], "matching \"]\" in IPv6 host address"),
    (["status", "--source", "postgres://u:hidden@x/?foo=bar"], "invalid URI query parameter"),
    (["status", "--source", "host=x foo=bar"], "--source: invalid connection option \"foo\""),
    (["run", "--source", "host=127.0.0.1 dbname=x"], "a source needs a name: write NAME=DSN"),
    (["run", "--source", "postgres://u:hidden@x/y?sslmode=require"], "a source needs a name"),
    (["run", "--source", "a b=host=x"], "the source name \"a b\" must be"),
    (["run", "--source", "a=x", "--source", "a=y"], "two sources are named a"),
    (["run", "--source", "a=mysql://u:hidden@x/y"], "not mysql://"),
    (["status", "--source", "acme=host=x dbname=y"], "only run takes NAME=DSN; leave out \"acme=\""),
    (["status", "--source", "postgresql+psycopg://u:hidden@x/y"], "not postgresql+psycopg://"),
    ([], "missing command"),
    (["frob"], "unknown command \"frob\""),
    (["subscribe"], "missing argument"),
    (["status", "--check", "--watch"], "--check cannot be combined"),
    (["status", "--max-lag", "5"], "--max-lag needs --check"),
    (["status", "--interval", "5"], "--interval needs --watch"),
    (["subscribe", "x", "--url", "ftp://x"], "an http:// or https:// URL"),
    (["subscribe", "x", "--url", "http://"], "with a host"),
    (["subscribe", "x", "--url", "http://user:hidden@x/"], "without a user"),
    (["subscribe", "x", "--url", "http:/x"], "an http:// or https:// URL"),
    (["subscribe", "x", "--url", "HTTP://x"], "an http:// or https:// URL"),
    (["subscribe", "x", "--url", "http://x/a b"], "an http:// or https:// URL"),
    (["subscribe", "x", "--url", "http://x/" + 2040 * "a"], "at most 2048 characters"),
    (["skip", "billing", "nonsense"], "\"nonsense\" is not a UUID"),
    (["redrive", "billing", NO_EVENT + "0"], "is not a UUID"),
    (["events", "order.created"], "is not a UUID"),
    (["subscribe", "Bad Name", "--url", "http://x"], "the name \"Bad Name\" must be"),
    (["subscribe", "x", "--url", "http://x", "--types", "a,,b"], "\"\" is not an event type"),
    (["subscribe", "x", "--url", "http://x", "--types", "a, ,b"], "\" \" is not an event type"),
    (["subscribe", "x", "--url", "http://x", "--types", " "], "\" \" is not an event type"),
    (["subscribe", "x", "--url", "http://x", "--types", ""], "\"\" is not an event type"),
    (["subscribe", "x", "--url", "http://x", "--types", "a,"], "\"\" is not an event type"),
    (["subscribe", "x", "--url", "http://x", "--types", "a.*,or*"], "\"or*\" is not an event type"),
    (["subscribe", "x", "--url", "http://x", "--types", ".*"], "a prefix that ends in \".*\""),
    (["subscribe", "x", "--url", "http://x", "--types", "*.a"], "a prefix that ends in \".*\""),
    (["subscribe", "x", "--url", "http://x", "--types", "**"], "a prefix that ends in \".*\""),
    (["subscribe", "x", "--url", "http://x", "--types", "a\nb"], "a prefix that ends in \".*\""),
    (["subscribe", "x", "--url", "http://x", "--types", "a," * 1000 + "a"], "more than 1000"),
    (["subscribe", "x", "--url", "http://x", "--secret-ref", "hidden"], "file:/PATH or env:NAME"),
    (["subscribe", "x", "--url", "http://x", "--secret-ref", "env:1X"], "file:/PATH or env:NAME"),
    (["subscribe", "x", "--url", "http://x", "--secret-ref", "env:X", "--secret-file", "x"],
     "exclude each other"),
    (["subscribe", "x", "--url", "http://x", "--batch-size", "0"], "integer from 1 to 1000"),
    (["subscribe", "x", "--url", "http://x", "--batch-size", "9" * 30], "integer from 1 to 1000"),
    (["subscribe", "x", "--url", "http://x", "--on-dead", "maybe"], "must be skip or block, not \"maybe\""),
    (["subscribe", "x", "--url", "http://x", "--url", "http://y"], "given twice"),
    (["status", "--jsn"], "unknown option --jsn"),
    (["status", "--json=yes"], "takes no value"),
    (["status", "a", "b"], "unexpected argument \"b\""),
    (["skip", "billing"], "missing argument"),
    (["redrive", "billing"], "--all"),
    (["replay", "billing"], "--from-id"),
    (["replay", "billing", "--from-id", "1", "--from-beginning"], "give exactly one of"),
    (["secrets", "--rotate"], "needs the NAME"),
    (["status", "--source"], "--source needs a value"),
    (["healthcheck", "--listen", "nowhere"], "ADDRESS:PORT"),
    (["healthcheck", "--listen", "[::1]"], "ADDRESS:PORT"),
    (["healthcheck", "--listen", "[]:80"], "ADDRESS:PORT"),
    (["healthcheck", "--listen", ":80"], "ADDRESS:PORT"),
    (["healthcheck", "--listen", "127.0.0.1:80x"], "ADDRESS:PORT"),
    (["healthcheck", "--listen", "127.0.0.1:65536"], "ADDRESS:PORT"),
    (["run", "--listen", "127.0.0.1:-1", "--source", "a=x"], "ADDRESS:PORT"),
]


@pytest.mark.parametrize("words, told", USAGE_ERRORS, ids=[" ".join(w)[:40] for w, _ in USAGE_ERRORS])
def test_a_usage_error_is_one_line_and_exit_2(run, words, told):
    source = bool(words) and words[0] not in ("frob", "healthcheck") and "--source" not in words
    error = run(*words, status=2, source=source)
    assert "hidden" not in error
    assert told in error and error.count("\n") == 1 and error.startswith("outbox-relay")


def test_run_without_a_source_says_which_variable_it_reads(run, monkeypatch):
    monkeypatch.delenv("OUTBOX_RELAY_SOURCE", raising=False)
    assert run("run", status=2, source=False) == (
        "outbox-relay run: no source given: use --source NAME=DSN or OUTBOX_RELAY_SOURCES\n")
    monkeypatch.setenv("OUTBOX_RELAY_SOURCE", run.dsn)
    assert run("run", status=2, source=False).endswith(
        "OUTBOX_RELAY_SOURCES (OUTBOX_RELAY_SOURCE is for the other commands)\n")


@pytest.mark.parametrize("command", ["status", "init", "events", "secrets", "dead"])
def test_an_unreachable_database_is_exit_1_with_the_reason(run, command):
    error = run(command, "--source", "host=/nonexistent dbname=x", status=1, source=False)
    assert "No such file or directory" in error and error.count("\n") == 1


def test_a_database_without_outbox_says_what_to_do(pg):
    bare = CommandLine(pg, "bare")
    for command in ("status", "events", "dead", "secrets"):
        assert "run outbox-relay init first" in bare(command, status=1)


def test_an_unknown_subscription_is_named(run):
    for words in (["pause", "no"], ["resume", "no"], ["skip", "no", NO_EVENT], ["unsubscribe", "no"],
                  ["redrive", "no", "--all"], ["replay", "no", "--from-id", "1"],
                  ["secrets", "no", "--rotate"], ["secrets", "no"], ["dead", "no"], ["status", "no"],
                  ["subscriptions", "no"], ["events", "--subscription", "no"]):
        assert 'there is no subscription "no"' in run(*words, status=1)


def test_every_command_has_help(run):
    commands = [line.split()[0] for line in run("--help", source=False).splitlines()
                if line.startswith("  ") and not line.startswith("  -")]
    assert len(commands) >= 14
    for command in commands:
        text = run(command, "--help", source=False)
        assert text.startswith(f"usage: outbox-relay {command}")
        assert max(map(len, text.splitlines())) < 100
        assert ("--json" in text) == (command not in ("init", "run", "healthcheck"))
