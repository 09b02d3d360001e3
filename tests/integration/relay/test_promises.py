"""What the manual page and --help promise, as far as no other test shows it. test_manual.py says
which sentence is proved by which test."""

import hashlib
import http.server
import re
import signal
import subprocess
import threading
import time

import pytest

from command_line import CommandLine
from lib import process, wait
from lib.pg import GROUP_ROLES, Cluster
from receiver import Answer

NOWHERE = f"http://127.0.0.1:{process.free_port()}/events"
PROGRAM = str(process.binary("outbox-relay"))
ONE_DAY_S = 86400


@pytest.fixture(name="run")
def fixture_run(outbox):
    """The command line, with the database of `outbox`."""
    made = CommandLine.__new__(CommandLine)
    made.pg, made.database, made.dsn = outbox.pg, outbox.database, outbox.dsn
    return made


@pytest.fixture(name="fresh", scope="module")
def fixture_fresh():
    """A cluster where nobody has made the group roles."""
    with Cluster() as cluster:
        yield cluster


def init(cluster, database, user):
    done = subprocess.run([PROGRAM, "init", "--source", cluster.dsn(database, user)],
                          capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def rights(cluster, database):
    return cluster.value(database, "select count(distinct grantee) from pg_namespace,"
                         " aclexplode(nspacl) where nspname = 'outbox' and"
                         " grantee::regrole::text like 'outbox\\_%'")


def parked(outbox):
    return dict(outbox.query("select status, count(*) from outbox.delivery group by status"))


# init

def test_init_prints_the_sql_for_missing_roles(fresh):
    fresh.query("postgres", "create role owner login")
    fresh.query("postgres", "create database missing owner owner")
    told = init(fresh, "missing", "owner")
    statements = re.findall(r"^    (create role \w+ nologin;)$", told, re.M)
    assert [line.split()[2] for line in statements] == list(GROUP_ROLES)
    assert rights(fresh, "missing") == 0
    for statement in statements:
        fresh.query("postgres", statement)
    try:
        assert "missing" not in init(fresh, "missing", "owner")
        assert rights(fresh, "missing") == len(GROUP_ROLES)
    finally:
        fresh.query("postgres", "drop database missing")
        for role in GROUP_ROLES:
            fresh.query("postgres", f"drop role {role}")


def test_init_creates_the_group_roles(fresh):
    fresh.query("postgres", "create role creator login createrole")
    fresh.query("postgres", "create database made owner creator")
    assert "missing" not in init(fresh, "made", "creator")
    assert rights(fresh, "made") == len(GROUP_ROLES)
    assert fresh.query("postgres", "select rolname, rolcanlogin from pg_roles"
                       " where rolname like 'outbox%' order by 1") == [
                           (role, False) for role in sorted(GROUP_ROLES)]


def test_init_creates_a_schema_and_a_table(pg):
    objects = ("select nspname::text from pg_namespace where nspname !~ '^pg_'"
               " union select relname::text from pg_class where relnamespace = 'public'::regnamespace"
               " and relkind = 'r'")
    run = CommandLine(pg, "promises_objects")
    before = set(pg.query(run.database, objects))
    run("init")
    assert set(pg.query(run.database, objects)) - before == {("outbox",), ("schema_migration",)}


def test_init_several_at_once(pg):
    run = CommandLine(pg, "promises_parallel")
    command = [PROGRAM, "init", "--source", run.dsn]
    running = [process.start(command, stdout=subprocess.DEVNULL) for _ in range(4)]
    assert [one.wait(60) for one in running] == [0, 0, 0, 0]


def test_whoever_installs_the_outbox_owns_it(pg):
    run = CommandLine(pg, "promises_owner")
    run("init", "--source", pg.dsn(run.database), source=False)
    assert run.value("select nspowner::regrole::text from pg_namespace where nspname = 'outbox'"
                     ) == "postgres"


def test_init_after_the_schema_was_dropped_says_what_to_do(pg):
    run = CommandLine(pg, "promises_dropped")
    run("init")
    pg.query(run.database, "drop schema outbox cascade")
    [statement] = re.findall(r'"(delete from .*?)"', run("init", status=1))
    pg.query(run.database, statement)
    assert "outbox installed" in run("init")


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

def documented_defaults(run, command):
    """{option: default} as --help has them."""
    text = re.sub(r"\n {20,}", " ", run(command, "--help", source=False))
    return {name: default for name, default in re.findall(
        r"^  --([\w-]+) .*\(default: ([^)]*)\)", text, re.M)}


def test_defaults_of_a_subscription(run):
    made = run.one("subscribe", "s", "--url", NOWHERE)
    made["types"] = ",".join(made["event_types"])
    documented = documented_defaults(run, "subscribe")
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


# run

@pytest.mark.parametrize("stop_signal", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it(outbox, receiver, stop_signal):
    """It reads no more, waits for what it has sent, and stores how far it came."""
    outbox.subscribe("s", receiver.url(), max_in_flight=1)
    receiver.behave = lambda request: Answer(delay_s=0.5)
    relay = outbox.relay().wait_leader()
    outbox.emit_keys(50)
    receiver.wait_for_requests(2)
    assert relay.stop(stop_signal) == 0
    assert receiver.in_flight == 0 and receiver.count() < 50
    assert outbox.status()["lag_events"] == 50 - receiver.count()
    assert outbox.value("select holder is null from outbox.lease")


def test_sources_from_the_environment(outbox, receiver):
    outbox.subscribe("s", receiver.url())
    relay = process.start([PROGRAM, "run", "--listen", "off"], stderr=subprocess.DEVNULL,
                          env={"OUTBOX_RELAY_SOURCES": f"first={outbox.relay_dsn}"})
    try:
        outbox.emit()
        receiver.wait_for(1)
        assert receiver.requests[0].events[0]["source"] == "/first"
    finally:
        assert process.stop(relay) == 0


def listening_sockets(pid):
    """Of the network; the relay's others are connected."""
    inodes = {re.sub(r"\D", "", str(link.readlink()))
              for link in process.Path(f"/proc/{pid}/fd").iterdir() if link.is_symlink()}
    lines = [line.split() for table in ("tcp", "tcp6") for line in
             process.Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]]
    return [line[1] for line in lines if line[3] == "0A" and line[9] in inodes]


@pytest.mark.parametrize("words, sockets", [(["--listen", "off"], 0), ([], 1)])
def test_it_listens_where_it_is_told(outbox, words, sockets):
    """By the option, else by the environment."""
    relay = process.start(
        [PROGRAM, "run", *words, "--source", f"shop={outbox.relay_dsn}"], stderr=subprocess.DEVNULL,
        env={"OUTBOX_RELAY_LISTEN": f"127.0.0.1:{process.free_port()}"})
    try:
        wait.until(lambda: outbox.value("select holder is not null from outbox.lease"), 20, "a leader")
        assert len(listening_sockets(relay.pid)) == sockets
    finally:
        assert process.stop(relay) == 0


def test_settings_are_printed_with_their_defaults(run):
    """Which are those in force: the program falls back to what the same table says."""
    page = (process.ROOT / "docs/configuration.md").read_text(encoding="utf-8")
    rows = run("run", "--settings-markdown", source=False).splitlines()
    defaults = dict(re.match(r"\| `(\w+)`.*? \| `?(.*?)`? \|", row).groups() for row in rows)
    assert all(row in page for row in rows) and len(defaults) == len(rows)
    shown = re.findall(r"^  (\w+).*\n(.*)$", run("run", "--settings", source=False), re.M)
    assert [name for name, _ in shown] == list(defaults)
    for name, text in shown:
        assert text.endswith(f" (default: {defaults[name]})") or not defaults[name]
    for option in ("listen", "wake"):
        variable = "OUTBOX_RELAY_" + option.upper()
        assert documented_defaults(run, "run")[option] == f"${variable} or {defaults[variable]}"


# status and events

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


# Operating

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


# Everything else

def test_emit_belongs_to_its_transaction(outbox, receiver):
    outbox.subscribe("s", receiver.url())
    outbox.relay().wait_leader()
    connection = outbox.connect()
    connection.autocommit = False
    cursor = connection.cursor()
    emit = "select outbox.emit('order', '1', 'order.created', '{}')::text"
    cursor.execute(emit)
    connection.rollback()
    cursor.execute(emit)
    [committed] = cursor.fetchone()
    connection.commit()
    connection.close()
    receiver.wait_for(1)
    assert receiver.ids() == [committed]


def test_only_a_relay_that_sleeps_is_notified(outbox, receiver):
    outbox.subscribe("s", receiver.url())
    listening = outbox.connect()
    listening.cursor().execute("listen outbox")

    def notified():
        listening.poll()
        return len(listening.notifies)

    outbox.emit()
    assert notified() == 0
    outbox.relay(OUTBOX_RELAY_SAFETY_POLL_MS="3600000").wait_leader().wait_asleep()
    outbox.emit()
    wait.until(notified, 10, "the notification")
    listening.close()


class _Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):  # pylint: disable=invalid-name
        self.server.asked.append(self.path)
        self.server.released.wait(self.server.delay_s)
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *_):  # pylint: disable=arguments-differ
        pass


@pytest.mark.parametrize("status, delay_s, expected", [(200, 0, 0), (503, 0, 1), (200, 4, 1)])
def test_healthcheck(status, delay_s, expected):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Page) as server:
        server.status, server.delay_s, server.asked = status, delay_s, []
        server.released = threading.Event()
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        done = subprocess.run([PROGRAM, "healthcheck"], capture_output=True, timeout=30, check=False,
                              env={"OUTBOX_RELAY_LISTEN": f"127.0.0.1:{server.server_port}"})
        server.released.set()
        server.shutdown()
    assert (done.returncode, server.asked) == (expected, ["/readyz"])


def test_the_source_from_the_environment(run, monkeypatch):
    monkeypatch.setenv("OUTBOX_RELAY_SOURCE", run.dsn)
    assert run("subscriptions", source=False) == "no subscriptions\n"


def test_variables_of_libpq(fresh, tmp_path):
    """A database that is given by PGHOST and the like, with the password of PGPASSFILE."""
    fresh.query("postgres", "create role secretive login password 'sesame'")
    fresh.query("postgres", "create database secretive owner secretive")
    hba = fresh.data / "pg_hba.conf"
    hba.write_text("local secretive secretive scram-sha-256\n" + hba.read_text())
    fresh.query("postgres", "select pg_reload_conf()")
    file = tmp_path / "pgpass"
    file.write_text("*:*:*:secretive:sesame\n")
    file.chmod(0o600)
    variables = {"PGHOST": str(fresh.directory), "PGUSER": "secretive", "PGPASSFILE": str(file)}

    def status(**environment):
        return subprocess.run([PROGRAM, "init", "--source", "dbname=secretive"], env=environment,
                              capture_output=True, timeout=60, check=False).returncode

    wait.until(lambda: status(**{**variables, "PGPASSFILE": "/nowhere"}) == 1, 10, "the new rule")
    assert status(**variables) == 0
