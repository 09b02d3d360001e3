"""What the manual page and --help promise about the commands, as far as no other test shows it:
test_manual.py knows which sentence is proved by which test."""

import hashlib
import signal
import subprocess
import time

import pytest

from lib import process, wait
from receiver import Answer

NOWHERE = f"http://127.0.0.1:{process.free_port()}/events"
PROGRAM = str(process.binary("outbox-relay"))
ONE_DAY_S = 86400


# Secrets

def test_a_secret_replaces_the_one_of_an_existing_subscription(run, tmp_path):
    run("subscribe", "s", "--url", NOWHERE)
    file = tmp_path / "secret"
    file.write_text("whsec_" + "QUJD" * 11, encoding="ascii")
    run("subscribe", "s", "--secret-file", str(file))
    left = [row[0] for row in run.pg.query(run.database, "select extract(epoch from valid_until"
                                           " - now())::float8 from outbox.secret order by id")]
    assert ONE_DAY_S - 60 < left[0] <= ONE_DAY_S and left[1] is None


def test_the_overlap_is_a_day_unless_it_is_given(run):
    run("subscribe", "s", "--url", NOWHERE)
    [made] = run.json("secrets", "s", "--rotate")
    assert made["overlap"] == "1 day" and made["secret"] == run.newest_secret()
    left = run.value("select extract(epoch from valid_until - now())::float8 from outbox.secret"
                     " where valid_until is not null")
    assert ONE_DAY_S - 60 < left <= ONE_DAY_S


def test_a_reference_is_all_that_is_stored(run, tmp_path):
    file = tmp_path / "secret"
    file.write_text("whsec_" + "QUJD" * 11, encoding="ascii")
    for reference in (f"file:{file}", "env:MY_SECRET"):
        run("subscribe", "s", "--url", NOWHERE, "--secret-ref", reference)
        assert run.newest_secret() == reference
        assert run.json("secrets")[-1]["kept_as"] == reference


def test_a_second_rotation_ends_the_oldest_secret(run):
    run("subscribe", "s", "--url", NOWHERE)
    for valid in ([True, True], [False, True, True]):
        run("secrets", "s", "--rotate", "--overlap", "1 hour")
        assert [row["valid"] for row in run.json("secrets", "s")] == valid


def test_the_fingerprint_is_of_the_text(run):
    run("subscribe", "s", "--url", NOWHERE)
    digest = hashlib.sha256(run.newest_secret().encode()).hexdigest()
    assert [row["fingerprint"] for row in run.json("secrets")] == [digest[:12]]
    assert "whsec_" not in run("secrets")


# Subscriptions

def test_defaults_of_a_subscription(run):
    made = run.one("subscribe", "s", "--url", NOWHERE)
    made["types"] = ",".join(made["event_types"])
    documented = run.documented_defaults("subscribe")
    assert len(documented) == 8
    assert {name: str(made[name.replace("-", "_")]) for name in documented} == documented


def test_types(outbox, receiver, run):
    for name, types in (("exact", "order.paid"), ("prefix", "order.*"), ("all", "*"),
                        ("two", "order.created, user.created")):
        run("subscribe", name, "--url", receiver.url("/" + name), "--types", types)
    for event_type in ("order.paid", "order.created", "orders", "user.created"):
        outbox.emit(key=event_type, event_type=event_type)
    outbox.relay().wait_leader()
    receiver.wait_for_requests(9)
    wait.until(lambda: outbox.value("select sum(lag_events) from outbox.status") == 0, 10, "the end")
    got = {}
    for request in receiver.requests:
        got.setdefault(request.path, set()).add(request.events[0]["type"])
    assert got == {"/exact": {"order.paid"}, "/prefix": {"order.paid", "order.created"},
                   "/all": {"order.paid", "order.created", "orders", "user.created"},
                   "/two": {"order.created", "user.created"}}


def test_where_a_new_subscription_begins(outbox, receiver, run):
    old = outbox.emit()
    run("subscribe", "all", "--url", receiver.url("/all"), "--from-beginning")
    run("subscribe", "new", "--url", receiver.url("/new"))
    run("subscribe", "new", "--from-beginning")  # it is not new any more
    new = outbox.emit()
    outbox.relay().wait_leader()
    receiver.wait_for(3)
    assert sorted((request.path, *request.ids) for request in receiver.requests) == sorted(
        [("/all", *old), ("/all", *new), ("/new", *new)])


def test_unsubscribe_leaves_nothing(run):
    run("subscribe", "s", "--url", NOWHERE)
    run.park("s", run.emit("1"), "dead")
    run("unsubscribe", "s")
    for table in ("subscription", "secret", "delivery"):
        assert run.value(f"select count(*) from outbox.{table}") == 0


# status and events

def parked(outbox):
    return dict(outbox.query("select status, count(*) from outbox.delivery group by status"))


def test_parked_events_are_no_lag(outbox, receiver, run):
    outbox.subscribe("s", receiver.url(), retry_base_ms=600000, retry_max_ms=600000)
    receiver.behave = lambda request: Answer(422)
    outbox.emit(key="k", count=3)
    outbox.relay().wait_leader()
    wait.until(lambda: parked(outbox) == {"retrying": 1, "blocked": 2}, 10, "all to be parked")
    wait.until(lambda: run.json("status")[0]["lag_events"] == 0, 10, "no lag")
    assert [row["status"] for row in run.json("events")] == ["retrying", "blocked", "blocked"]


def test_the_last_error_stays(outbox, receiver, run):
    outbox.subscribe("s", receiver.url())
    receiver.behave = lambda request: Answer(503)
    outbox.emit()
    outbox.relay().wait_leader()
    wait.until(lambda: run.json("status")[0]["breaker"] == "open", 10, "the breaker to open")
    receiver.behave = lambda request: None
    wait.until(lambda: run.json("status")[0]["breaker"] == "closed", 10, "the breaker to close")
    assert run.json("status")[0]["last_error"] == "HTTP 503"


def test_cursors_are_stored_at_most_five_times_a_second(outbox, receiver):
    outbox.query("create table public.stored as select clock_timestamp() as at;"
                 "create function public.note() returns trigger language plpgsql security definer as"
                 " 'begin insert into public.stored values (clock_timestamp()); return null; end';"
                 "create trigger note after update of position on outbox.subscription"
                 " for each statement execute function public.note()")
    outbox.subscribe("s", receiver.url(), batch_size=10)
    outbox.relay().wait_leader()
    end = time.monotonic() + 2
    while time.monotonic() < end:
        outbox.emit()
    wait.until(lambda: outbox.status()["lag_events"] == 0, 10, "the cursor is stored")
    most = outbox.value("select max(n) from (select count(*) over (order by at range between current"
                        " row and interval '1 second' following) as n from public.stored) w")
    # One more for the two ends of the second, and one for maintenance.
    assert 3 <= most <= 7


def test_a_lag_of_five_minutes_is_a_problem(run):
    run("subscribe", "s", "--url", NOWHERE, "--from-beginning")
    run.pg.query(run.database, "update outbox.lease set valid_until = now() + interval '1 hour'")
    for seconds, status, words in ((240, 0, []), (360, 1, []), (360, 0, ["--max-lag", "600"])):
        run.pg.query(run.database, "delete from outbox.event; insert into outbox.event (txid,"
                     " event_id, aggregate_type, aggregate_id, event_type, created_at, size, payload,"
                     " headers) values (pg_current_xact_id(), gen_random_uuid(), 'a', '1', 'a.b',"
                     " now() - make_interval(secs => %s), 2, '{}', '{}')", (seconds,))
        shown = run("status", "--check", *words, status=status, stream="stdout")
        assert shown.endswith(" s behind\n") if status else shown == "ok\n"


def test_a_disabled_subscription_is_a_problem(run):
    run("subscribe", "s", "--url", NOWHERE)
    run.pg.query(run.database, "update outbox.lease set valid_until = now() + interval '1 hour';"
                 " update outbox.subscription set state = 'disabled', state_reason = 'HTTP 410'")
    assert run("status", "--check", status=1, stream="stdout") == "s is disabled: HTTP 410\n"


def test_watch_prints_every_two_seconds(run):
    """Unless --interval says otherwise: test_status_watch_prints_again."""
    with subprocess.Popen([PROGRAM, "status", "--json", "--watch", "--source", run.dsn],
                          stdout=subprocess.PIPE, text=True) as watching:
        watching.stdout.readline()
        began = time.monotonic()
        watching.stdout.readline()
        assert 1.5 < time.monotonic() - began < 10
        watching.send_signal(signal.SIGINT)
        assert watching.wait(10) == -signal.SIGINT


def test_how_many_rows_are_shown(run):
    run("subscribe", "s", "--url", NOWHERE, "--from-beginning")
    events = [row[0] for row in run.pg.query(
        run.database, "select outbox.emit('order', i::text, 'order.created', '{}')::text"
        "  from generate_series(1, 120) i")]
    assert [row["event_id"] for row in run.json("events")] == events[-20:]
    assert [row["event_id"] for row in run.json("events", "--limit", "2")] == events[-2:]
    run.pg.query(run.database, "insert into outbox.delivery (subscription, id, event_id,"
                 " aggregate_type, aggregate_id, event_type, created_at, payload, headers, status,"
                 " attempts) select 's', id, event_id, aggregate_type, aggregate_id, event_type,"
                 " created_at, payload, headers, 'dead', 1 from outbox.event")
    assert [row["event_id"] for row in run.json("dead")] == events[:100]
    assert [row["event_id"] for row in run.json("dead", "--limit", "2")] == events[:2]


def test_events_in_each_state(outbox, receiver, run):
    outbox.subscribe("s", receiver.url(), max_attempts=1, on_dead="block")
    dead, behind = outbox.emit(key="bad", count=2)
    [good] = outbox.emit(key="good")
    receiver.behave = lambda request: Answer(422) if dead in request.ids else None
    assert {row["status"] for row in run.json("events")} == {"pending"}

    def states():
        return {row["event_id"]: row["status"] for row in run.json("events")}

    relay = outbox.relay().wait_leader()
    wait.until(lambda: states() == {dead: "dead", behind: "blocked", good: "delivered"}, 10, "the end")
    run("skip", "s", dead)
    wait.until(lambda: states() == {dead: "delivered", behind: "delivered", good: "delivered"}, 10,
               "what was blocked to go on")
    assert relay.stop() == 0 and dead not in receiver.ids()


def test_an_event_is_found_by_the_id_that_the_receiver_saw(outbox, receiver, run):
    for name in ("one", "two"):
        outbox.subscribe(name, receiver.url())
    outbox.emit(count=2)
    outbox.relay().wait_leader()
    receiver.wait_for(4)
    event = receiver.requests[0].events[0]
    rows = run.json("events", event["id"])
    assert [(row["event_id"], row["subscription"]) for row in rows] == [
        (event["id"], "one"), (event["id"], "two")]
    [row] = run.json("events", event["id"], "--subscription", "two")
    assert row["subscription"] == "two"


# Operating

def test_parked_events_are_listed_with_the_dead_ones(run):
    run("subscribe", "s", "--url", NOWHERE)
    for status in ("dead", "retrying", "blocked"):
        run.park("s", run.emit(status), status)
    assert [row["status"] for row in run.json("dead")] == ["dead"]
    assert [row["status"] for row in run.json("dead", "--all")] == ["dead", "retrying", "blocked"]


def test_replay_from_the_sequence_that_the_receiver_saw(outbox, receiver, run):
    outbox.subscribe("s", receiver.url())
    events = outbox.emit(count=4)
    outbox.relay().wait_leader()
    receiver.wait_for(4)
    run("replay", "s", "--from-id", receiver.requests[2].events[0]["sequence"])
    receiver.wait_for(6)
    assert receiver.ids() == events + events[2:]


def test_redrive_begins_to_count_anew(run):
    run("subscribe", "s", "--url", NOWHERE)
    event = run.emit("1")
    run.park("s", event, "dead")
    run("redrive", "s", event)
    [row] = run.json("dead", "--all")
    assert (row["status"], row["attempts"]) == ("retrying", 0)


def test_redrive_leaves_an_event_that_is_being_retried(run):
    run("subscribe", "s", "--url", NOWHERE)
    event = run.emit("1")
    run.park("s", event, "retrying")
    before = run.json("dead", "--all")
    run("redrive", "s", event, status=1)
    run("redrive", "s", "--all")
    assert run.json("dead", "--all") == before


@pytest.mark.parametrize("status", ["retrying", "blocked", "dead"])
def test_any_parked_event_can_be_skipped(run, status):
    run("subscribe", "s", "--url", NOWHERE)
    event = run.emit("1")
    run.park("s", event, status)
    run("skip", "s", event)
    assert run("dead", "--all") == "no parked events\n"


@pytest.mark.parametrize("policy, left", [("skip", 0), ("block", 1)])
def test_replay_of_a_dead_event(run, policy, left):
    run("subscribe", "s", "--url", NOWHERE, "--on-dead", policy, "--from-beginning")
    run.park("s", run.emit("1"), "dead")
    run("replay", "s", "--from-beginning")
    assert len(run.json("dead")) == left


def test_a_resume_tries_an_endpoint_that_is_down(outbox, receiver, run):
    outbox.subscribe("s", receiver.url())
    receiver.behave = lambda request: Answer(503, headers={"Retry-After": "3600"})
    relay = outbox.relay().wait_leader()
    outbox.emit()
    wait.until(lambda: relay.metric("outbox_relay_breaker_state") == 1, 10, "the breaker to open")
    receiver.behave = lambda request: None
    run("pause", "s", "--reason", "moving")
    wait.until(lambda: relay.metric("outbox_relay_subscription_state") == 1, 10, "the pause")
    assert run.json("status")[0]["state_reason"] == "moving"
    run("resume", "s")
    receiver.wait_for(1)
