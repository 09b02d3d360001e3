"""What the relay must not go on with: numbers that begin anew, a copy of the database, half a restore."""

import json
import subprocess

import psycopg2
import pytest
import requests

from lib import pg as pg_module
from lib import process, wait
from published import Relay


def command(outbox, *words, dsn=None):
    """(exit status, standard output) of a command of outbox-relay."""
    done = subprocess.run([str(process.binary("outbox-relay")), *words, "--source", dsn or outbox.dsn],
                          check=False, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout


def found(outbox):
    """The codes of what outbox.guard() has found."""
    return [row[0] for row in outbox.query("select code from outbox.guard()")]


def readiness(relay):
    return requests.get(f"http://127.0.0.1:{relay.port}/readyz", timeout=5).status_code


def refuses_to_go_on(outbox, relay, text):
    """The log, readiness and `status --check` all tell why nothing is sent."""
    wait.until(lambda: relay.logged(text), 20, f"the log to tell {text!r}, see {relay.log}")
    wait.until(lambda: readiness(relay) == 503, 10, "not ready")
    status, printed = command(outbox, "status", "--check")
    assert status == 1
    assert text in printed


# How the numbers of events begin anew, once 600 of them have been delivered.
BEGIN_ANEW = {
    "truncate": "truncate outbox.event restart identity",
    "sequence": "delete from outbox.event; alter sequence outbox.event_id_seq restart",
    "column": "delete from outbox.event; alter table outbox.event alter id restart",
    # A logical replica has the rows, but sequences stay where they were; ids of transactions that
    # rolled back leave gaps, into which new events fit.
    "gaps": "delete from outbox.event where id between 1 and 500; select setval('outbox.event_id_seq', 100)",
}


@pytest.mark.parametrize("how", BEGIN_ANEW)
@pytest.mark.parametrize("running", [True, False], ids=["relay-running", "relay-stopped"])
def test_numbers_that_begin_anew_lose_nothing(outbox, receiver, how, running):
    """Nothing is sent or called delivered until the repair, everything after it, and nothing twice."""
    outbox.subscribe("s", receiver.url())
    outbox.subscribe("paused", receiver.url())
    outbox.query("select outbox.pause('paused')")
    relay = outbox.relay().wait_leader()
    before = outbox.emit_keys(600)
    receiver.wait_for(600)
    wait.until(lambda: outbox.value("select position from outbox.subscription where name = 's'") == 600, 10,
               "the cursor to be stored")
    relay.wait_asleep()
    if not running:
        assert relay.stop() == 0
    outbox.query(BEGIN_ANEW[how])
    events = outbox.emit_keys(3)
    if not running:
        relay = outbox.relay()
    refuses_to_go_on(outbox, relay, "event ids have begun anew")
    assert set(outbox.query("select status from outbox.event_status where subscription = 's'"
                            " and event_id = any(%s::uuid[])", (events,))) == {("pending",)}
    assert not set(events) & set(receiver.ids())

    status, printed = command(outbox, "repair")
    assert status == 0 and "set it to" in printed and "--yes" in printed
    assert found(outbox) == ["sequence_behind"], "it was only shown"
    status, printed = command(outbox, "repair", "--yes", "--json")
    assert status == 0 and all(step["done"] for step in json.loads(printed))
    assert found(outbox) == []
    wait.until(lambda: set(events) <= set(receiver.ids()), 20, "what was emitted meanwhile")
    after = outbox.emit_keys(20)
    wait.until(lambda: set(after) <= set(receiver.ids()), 20, "what is emitted now")
    relay.wait_asleep()
    counts = {event: receiver.ids().count(event) for event in before + events + after}
    assert set(counts.values()) == {1}, "repeated"
    assert command(outbox, "repair")[1] == "nothing to repair\n"
    outbox.query("select outbox.resume('paused')")
    wait.until(lambda: all(receiver.ids().count(event) == 2 for event in events + after), 20,
               "the other subscription")


# The sequence has passed the old numbers by itself when the relay looks: nothing is behind any more.
PASSED = {
    "truncate": ("truncate outbox.event restart identity", 700, 600),
    "gap": ("delete from outbox.event where id = 100; alter sequence outbox.event_id_seq restart 100", 1, 1),
}


@pytest.mark.parametrize("how", PASSED)
@pytest.mark.parametrize("running", [True, False], ids=["relay-running", "relay-stopped"])
def test_numbers_that_came_again_are_found(outbox, receiver, how, running):
    """Those that cursors had passed; what is beyond them is delivered anyway."""
    change, count, below = PASSED[how]
    outbox.subscribe("s", receiver.url())
    relay = outbox.relay().wait_leader()
    outbox.emit_keys(600)
    receiver.wait_for(600)
    wait.until(lambda: outbox.value("select position from outbox.subscription") == 600, 10, "the cursor to be stored")
    relay.wait_asleep()
    if not running:
        assert relay.stop() == 0
    # In one go, so that a relay that is awake sees no number below the old ones.
    lost = [row[0] for row in outbox.query(
        f"{change}; create temporary table lost as select outbox.emit('order', i::text, 'order.created', '{{}}',"
        f" lock_key => false) as id from generate_series(1, {count}) i;"
        "select setval('outbox.event_id_seq', greatest(last_value, 600)) from outbox.event_id_seq;"
        "select id::text from lost")]
    assert found(outbox) == ["passed_events"]
    if not running:
        relay = outbox.relay()
    refuses_to_go_on(outbox, relay, "event ids have begun anew")
    status, printed = command(outbox, "repair", "--yes")
    assert status == 0 and f"{below} new events" in printed
    relay.wait_leader()
    wait.until(lambda: set(lost) <= set(receiver.ids()), 20, "all of the new events")
    assert [event for event in lost if receiver.ids().count(event) != 1] == []


# How a copy comes to be: the statement on the database `postgres`, with the names of both.
def copy_by_template(outbox, copy):
    outbox.query("select pg_terminate_backend(pid) from pg_stat_activity"
                 " where datname = current_database() and pid <> pg_backend_pid()")
    outbox.pg.query("postgres", f"create database {copy} template {outbox.database} owner {outbox.database}")


def copy_by_dump(outbox, copy):
    dump = outbox.directory / "dump"
    tools = pg_module.bin_directory()
    outbox.pg.query("postgres", f"create database {copy} owner {outbox.database}")
    subprocess.run([tools / "pg_dump", "-Fc", "-f", dump, "-d", outbox.pg.dsn(outbox.database)], check=True, timeout=60)
    subprocess.run([tools / "pg_restore", "-d", outbox.pg.dsn(copy), dump], check=True, timeout=60)


@pytest.fixture(name="copy")
def fixture_copy(outbox):
    name = f"{outbox.database}_copy"
    yield name
    outbox.pg.query("postgres", f"drop database if exists {name} with (force)")


@pytest.mark.parametrize("make", [copy_by_template, copy_by_dump])
@pytest.mark.parametrize("answer", ["--moved", "--copied", "setting"])
def test_a_copy_sends_nothing_until_it_is_adopted(outbox, receiver, copy, make, answer):
    """Neither what the original had still to send nor what is emitted in the copy."""
    outbox.subscribe("s", receiver.url())
    waiting = outbox.emit_keys(5)
    make(outbox, copy)
    original = outbox.database
    outbox.database = copy
    try:
        waiting += outbox.emit_keys(2)
        settings = {"OUTBOX_RELAY_ADOPT": "moved"} if answer == "setting" else {}
        relay = Relay(outbox, {"shop": outbox.pg.dsn(copy, "relay")}, settings)
        outbox.relays.append(relay)
        if answer != "setting":
            outbox.dsn, dsn = outbox.pg.dsn(copy, original), outbox.dsn
            refuses_to_go_on(outbox, relay, "moved here, or copied")
            assert receiver.ids() == []
            assert command(outbox, "adopt", answer)[0] == 0
            outbox.dsn = dsn
        relay.wait_leader()
        if answer == "--copied":
            assert outbox.query("select state, state_reason from outbox.subscription") == [
                ("paused", f'copied from database "{original}"')]
            relay.wait_asleep()
            assert receiver.ids() == []
            outbox.query("select outbox.resume('s')")
        wait.until(lambda: set(waiting) <= set(receiver.ids()), 20, "all after the answer")
        assert found(outbox) == []
        assert relay.stop() == 0
    finally:
        outbox.database = original


def test_nothing_is_read_before_a_restore_is_complete(outbox, receiver, copy):
    """A relay that runs all the time, between the sections of a restore as well."""
    outbox.query("update outbox.setting set partition_size = 1000; select outbox.maintain()")
    outbox.subscribe("s", receiver.url())
    events = outbox.emit_keys(3)
    outbox.query("select setval('outbox.event_id_seq', 1000000)")
    events += outbox.emit_keys(3)
    dump = outbox.directory / "dump"
    tools = pg_module.bin_directory()
    subprocess.run([tools / "pg_dump", "-Fc", "-f", dump, "-d", outbox.pg.dsn(outbox.database)], check=True, timeout=60)
    outbox.pg.query("postgres", f"create database {copy} owner {outbox.database}")
    original = outbox.database
    outbox.database = copy
    try:
        relay = Relay(outbox, {"shop": outbox.pg.dsn(copy, "relay")}, {"OUTBOX_RELAY_ADOPT": "moved"})
        outbox.relays.append(relay)
        for section, tables in (("pre-data", None), ("data", ["subscription", "secret", "lease", "origin", "setting", "partition"]),
                                ("data", ["event_1", "delivery"]), ("data", ["event_1000001"])):
            words = [f"--table={table}" for table in tables or []]
            subprocess.run([tools / "pg_restore", f"--section={section}", *words, "-d", outbox.pg.dsn(copy), dump],
                           check=True, timeout=60)
            tries = relay.metric("outbox_relay_reconnects_total")
            wait.until(lambda tries=tries: relay.metric("outbox_relay_reconnects_total") > tries + 1, 20, "it to try again")
            assert receiver.ids() == []
        assert relay.logged("a restore is under way")
        subprocess.run([tools / "pg_restore", "--section=post-data", "-d", outbox.pg.dsn(copy), dump], check=True, timeout=60)
        outbox.query("select setval('outbox.event_id_seq', 1000003)")
        wait.until(lambda: set(events) <= set(receiver.ids()), 20, "all of the restored events")
        assert relay.stop() == 0
    finally:
        outbox.database = original


def test_partitions_that_the_catalogue_and_the_table_disagree_on(outbox):
    """maintain() would fail for ever."""
    outbox.query("delete from outbox.partition where name = 'event_1';"
                 "insert into outbox.partition values ('event_77000001', 77000001, 78000001)")
    assert found(outbox) == ["partitions"]
    status, printed = command(outbox, "status", "--check")
    assert status == 1 and "event_77000001" in printed and "outbox-relay repair" in printed
    status, printed = command(outbox, "repair", "--yes")
    assert status == 0 and printed.count("done") == 2
    assert found(outbox) == []
    assert "gave way" not in outbox.value("select outbox.maintain()")


def test_emit_waits_for_a_repair(outbox):
    """No number is drawn between the look at them and the change."""
    repairing = outbox.connect()
    repairing.autocommit = False
    repairing.cursor().execute("select outbox.repair(true)")
    with pytest.raises(psycopg2.errors.LockNotAvailable):
        outbox.query("set lock_timeout = '100ms'; select outbox.emit('order', '1', 'order.created', '{}')")
    repairing.commit()
    repairing.close()
    assert outbox.emit()
