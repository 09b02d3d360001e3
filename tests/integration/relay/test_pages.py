"""What docs/relay tells people to paste works, and its table of answers is what the relay does."""

import base64
import hashlib
import hmac
import json
import subprocess
import time

import psycopg2
import pytest
import requests

import pages
from lib import process, wait
from lib.pg import GROUP_ROLES, Cluster
from receiver import Answer

ALL_STATUSES = range(200, 600)
# Nothing is probed or tried again while the test looks.
ONCE = {"OUTBOX_RELAY_BREAKER_BASE_MS": "3600000", "OUTBOX_RELAY_BREAKER_MAX_MS": "3600000"}


def test_each_status_means_what_the_table_says(outbox, receiver):
    """A subscription for each status, whose receiver gives that answer to the one event."""
    told = pages.meanings()
    assert set(told) == set(ALL_STATUSES), "statuses that are missing from the table, or too many"
    receiver.behave = lambda request: Answer(int(request.path[1:]))
    outbox.query(
        "select outbox.subscribe('s' || status, %s || status, retry_base_ms => 3600000,"
        " retry_max_ms => 3600000, from_beginning => true) from generate_series(%s, %s) status",
        (receiver.url("/"), ALL_STATUSES.start, ALL_STATUSES.stop - 1))
    outbox.emit()
    outbox.relay(**ONCE).wait_leader()

    def found():
        return {int(name[1:]): meaning for name, meaning in outbox.query("""
            select subscription, case when state = 'disabled' then 'subscription is disabled'
                                      when breaker = 'open' then 'endpoint is down'
                                      when retrying = 1 then 'event is refused'
                                      when lag_events = 0 then 'delivered'
                                      else 'nothing yet' end from outbox.status""")}

    wait.until(lambda: "nothing yet" not in found().values(), 60, "every receiver to answer")
    assert found() == told


# The receiver -----------------------------------------------------------------------------------


class DocumentedReceiver:
    """The program of receiving.md, with a database of its own."""

    def __init__(self, pg, directory, secret):
        [tables] = pages.blocks("receiving.md", "sql")
        [program] = pages.blocks("receiving.md", "python")
        pg.query("postgres", "create database receiver_of_page")
        pg.query("receiver_of_page", tables)
        self.pg = pg
        self.port = process.free_port()
        (directory / "receiver.py").write_text(program)
        with open(directory / "receiver.log", "wb") as log:
            self.process = process.start(
                ["/usr/bin/python3", directory / "receiver.py"], stdout=log, stderr=log,
                env={"PATH": "/usr/bin:/bin", "PORT": str(self.port), "WEBHOOK_SECRETS": secret,
                     "DATABASE_URL": pg.dsn("receiver_of_page")})
        wait.until(lambda: self.post(b"{}").status_code == 401, 20, "the receiver to listen")

    def url(self):
        return f"http://127.0.0.1:{self.port}/events"

    def post(self, body, **headers):
        return requests.post(self.url(), data=body, timeout=10, headers={
            name.replace("_", "-"): value for name, value in headers.items()})

    def count(self, table):
        return self.pg.value("receiver_of_page", f"select count(*) from {table}")

    def stop(self):
        process.stop(self.process)
        self.pg.query("postgres", "drop database receiver_of_page with (force)")


SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()


@pytest.fixture(name="documented")
def fixture_documented(pg, tmp_path):
    made = DocumentedReceiver(pg, tmp_path, SECRET)
    yield made
    made.stop()


def test_the_receiver_handles_each_event_once(outbox, documented):
    outbox.subscribe("s", documented.url(), secret=SECRET, retry_base_ms=3600000,
                     retry_max_ms=3600000)
    for key in range(1, 4):
        outbox.emit(key, "order.paid", json.dumps({"orderId": key}))
    outbox.emit(9, "order.shipped")
    outbox.relay().wait_leader()
    wait.until(lambda: documented.count("inbox") == 4, 20, "four events")
    assert documented.count("parcel") == 3
    outbox.query("select outbox.replay('s', 1)")
    [refused] = outbox.emit(5, "order.paid", "{}")
    wait.until(lambda: outbox.deliveries("event_id::text, last_error"), 20, "a refused event")
    [(event, error)] = outbox.deliveries("event_id::text, last_error")
    assert event == refused and "orderId" in error
    assert (documented.count("inbox"), documented.count("parcel")) == (4, 3)


def sign(body, timestamp):
    text = f"1.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(b"k" * 32, text, hashlib.sha256).digest()).decode()


def post_signed(documented, body):
    now = int(time.time())
    return documented.post(body, webhook_id="1", webhook_timestamp=str(now),
                           webhook_signature=sign(body, now))


@pytest.mark.parametrize("headers", [
    {}, {"webhook_id": "1"},
    {"webhook_id": "1", "webhook_timestamp": "now", "webhook_signature": "v1,eA=="},
    {"webhook_id": "1", "webhook_timestamp": "9" * 5000, "webhook_signature": "v1,eA=="},
    {"webhook_id": "1", "webhook_timestamp": "{now}", "webhook_signature": "v1,\xe9"},
    {"webhook_id": "\xe9", "webhook_timestamp": "{now}", "webhook_signature": "v1,eA=="},
    {"webhook_id": "1", "webhook_timestamp": "{now}"},
    {"webhook_id": "1", "webhook_timestamp": "{old}", "webhook_signature": "{signed}"},
], ids=range(8))
def test_the_receiver_answers_401_to_strangers(documented, headers):
    now = int(time.time())
    values = {"now": now, "old": now - 400, "signed": sign(b"{}", now - 400)}
    filled = {name: value.format(**values).encode("latin-1") for name, value in headers.items()}
    answer = documented.post(b"{}", **filled)
    assert (answer.status_code, answer.text) == (401, "")
    assert post_signed(documented, b"{}").status_code == 500, "signed, but not an event"


def test_the_receiver_answers_503_without_its_database(documented):
    documented.pg.query("postgres", "alter database receiver_of_page allow_connections false")
    answer = post_signed(documented, b'{"id": "00000000-0000-4000-8000-000000000000"}')
    assert answer.status_code == 503


# Emitting ---------------------------------------------------------------------------------------


def test_the_emit_of_psycopg_and_of_the_trigger(outbox, tmp_path):
    [psycopg] = [code for code in pages.blocks("languages.md", "python")
                 if "\nimport psycopg\n" in code]
    [trigger] = pages.blocks("languages.md", "sql")
    outbox.query("create table orders (id bigint primary key, status text not null);"
                 "insert into orders values (42, 'NEW')")
    (tmp_path / "emit.py").write_text(psycopg)
    subprocess.run(["/usr/bin/python3", tmp_path / "emit.py"], check=True, timeout=60,
                   env={"PATH": "/usr/bin:/bin", "DATABASE_URL": outbox.pg.dsn(outbox.database)})
    outbox.query("update orders set status = 'NEW'")
    outbox.query(trigger)
    outbox.query("update orders set status = 'PAID'")
    emitted = outbox.query("select aggregate_id, event_type, payload from outbox.event")
    assert emitted == [("42", "order.paid", {"orderId": 42})] * 2


# Roles, trouble, removal ------------------------------------------------------------------------


@pytest.fixture(name="cluster", scope="module")
def fixture_cluster():
    """Of its own, as the group roles of a cluster belong to all its databases."""
    with Cluster() as made:
        for role in ("shop_owner", "shop_web"):
            made.query("postgres", f"create role {role} login")
        made.query("postgres", "create database shop owner shop_owner")
        yield made


def run(cluster, *words, user="shop_owner"):
    done = subprocess.run([str(process.binary("outbox-relay")), *words, "--source",
                           cluster.dsn("shop", user)], capture_output=True, text=True, timeout=60,
                          check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def as_owner(cluster, script):
    connection = cluster.connect("shop", "shop_owner")
    try:
        with connection.cursor() as cursor:
            cursor.execute(script)
    finally:
        connection.close()


def test_what_a_dba_pastes_suffices_and_is_removed_again(cluster):
    for script in pages.blocks("dba.md", "sql"):
        cluster.query("postgres", script)
    assert "missing" not in run(cluster, "init")
    assert "created" in run(cluster, "subscribe", "billing", "--url", "http://127.0.0.1:1/",
                            user="shop_operator")
    assert "billing" in run(cluster, "status", user="shop_monitor")
    assert "billing" in run(cluster, "status", user="shop_relay")
    connection = cluster.connect("shop", "shop_web")
    with connection.cursor() as cursor:
        cursor.execute("select outbox.emit('order', '1', 'order.paid', '{}')")
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            cursor.execute("select * from outbox.event")
    connection.close()

    for script in pages.blocks("stuck.md", "sql"):
        as_owner(cluster, script)

    remove, give_back, drop = pages.blocks("removing.md", "sql")
    as_owner(cluster, remove)
    cluster.query("shop", give_back)
    cluster.query("postgres", drop)
    assert cluster.query("postgres", "select rolname from pg_roles where rolname = any(%s)",
                         (list(GROUP_ROLES),)) == []
    assert "missing" in run(cluster, "init"), "the outbox can be installed again"
