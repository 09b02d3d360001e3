"""Each statement of the engine fails in turn, in each way that PostgreSQL has, by the server's own doing.

A table's statements fail by a row-level security policy (or a trigger) that raises the error, a function's
by a body that does, the rest by a right that is taken away. What must hold for all of them: the log tells
the SQLSTATE, somebody who watches can see it, or else nothing is held up by it; and when the fault is over,
every event arrives within 30 s."""

import os
import subprocess

import pytest
import requests

from lib import process, wait
from receiver import Answer

# What goes wrong: the SQLSTATE in the log, and what the server does. 08006 is the relay's own for a
# connection that has gone.
ERRORS = {
    "permission": "42501",
    "lock-table-full": "53200",
    "timeout": "57014",
    "deadlock": "40P01",
    "lost-connection": None,
}

RAISE = """
create or replace function outbox_fault() returns boolean language plpgsql security definer as $$
begin
    if '{error}' = 'lost-connection' then
        perform pg_terminate_backend(pg_backend_pid());
    else
        raise exception 'a fault of the test' using errcode = '{sqlstate}';
    end if;
    return true;
end $$;
grant execute on function outbox_fault() to public;
"""


def on_reads(table):
    """Statements that read its rows, or change them."""
    return (f"alter table outbox.{table} enable row level security;"
            f"create policy fault on outbox.{table} using (outbox_fault())",
            f"drop policy fault on outbox.{table}; alter table outbox.{table} disable row level security")


def on_writes(table):
    """Statements that write rows, while reads go on."""
    return ("create or replace function outbox_fault_trigger() returns trigger language plpgsql as"
            " 'begin perform public.outbox_fault(); return coalesce(new, old); end';"
            f"create trigger fault before insert or update or delete on outbox.{table}"
            "  for each row when (current_user = 'relay') execute function outbox_fault_trigger()",
            f"drop trigger fault on outbox.{table}")


def in_function(signature):
    """A function of the outbox fails when it begins; it stays the one that statements were prepared for."""
    oid = f"'outbox.{signature}'::regprocedure"
    return (f"create table outbox_fault_kept as select pg_get_functiondef({oid}) as definition;"
            "do $$ begin execute (select regexp_replace(definition, '\\mbegin\\M', 'begin perform public.outbox_fault();', 'i')"
            "                       from outbox_fault_kept); end $$",
            "do $$ begin execute (select definition from outbox_fault_kept); end $$; drop table outbox_fault_kept")


# What fails, by the statements it is for.
PLACES = {
    "read_new": on_reads("event"),
    "subscriptions": on_reads("subscription"),
    "write_cursor": on_writes("subscription"),
    "secrets": on_reads("secret"),
    "parked": on_reads("delivery"),
    "park": on_writes("delivery"),
    "lease": on_reads("lease"),
    "write_mark": on_writes("lease"),
    "fence": in_function("fence(bigint)"),
    "fence_parked": in_function("fence(bigint, text)"),
    "rebase": in_function("rebase()"),
    "guard": in_function("guard()"),
    "advance_key": in_function("advance_key(text, text, text)"),
    "maintain": in_function("maintain()"),
}

# Rights of statements without a table or function of ours: 42501 is the only way they have.
RIGHTS = {
    "newest_id": ("revoke select on sequence outbox.event_id_seq from outbox_relay",
                  "grant select on sequence outbox.event_id_seq to outbox_relay"),
    "try_lock": ("revoke execute on function pg_try_advisory_lock(int, int) from public",
                 "grant execute on function pg_try_advisory_lock(int, int) to public"),
    "unlock": ("revoke execute on function pg_advisory_unlock(int, int) from public",
               "grant execute on function pg_advisory_unlock(int, int) to public"),
}


def is_told(outbox, relay):
    """Whether somebody who watches sees that something is wrong."""
    try:
        if requests.get(f"http://127.0.0.1:{relay.port}/readyz", timeout=5).status_code == 503:
            return True
        if relay.metric("outbox_relay_lag_events") > 0:
            return True
    except requests.RequestException:
        return True
    done = subprocess.run([str(process.binary("outbox-relay")), "status", "--check", "--max-lag", "0", "--source",
                           outbox.pg.dsn(outbox.database)], check=False, capture_output=True, timeout=60)
    return done.returncode != 0


class Scene:
    """A relay at work: each fault comes upon it, and must leave nothing behind."""

    def __init__(self, outbox, receiver):
        self.outbox, self.receiver = outbox, receiver
        self.refusing = True
        receiver.behave = self.behave
        outbox.query(RAISE.format(error='none', sqlstate='XX000'))
        # A fault, not the schedule, is to hold things up.
        outbox.subscribe("s", receiver.url(), max_attempts=1000, retry_max_ms=50)
        self.relay = outbox.relay(OUTBOX_RELAY_SAFETY_POLL_MS="2000", OUTBOX_RELAY_MAINTAIN_INTERVAL_S="1").wait_leader()
        self.emitted = []
        self.emit()
        self.settled()

    def behave(self, request):
        refused = self.refusing and any(event["partitionkey"] == "order:refused" for event in request.events)
        return Answer(500) if refused else None

    def emit(self):
        """Events of three keys, and of one that is refused: parking is part of the scene."""
        self.emitted += self.outbox.emit_keys(3) + self.outbox.emit("refused", count=2)

    def missing(self):
        """What should have arrived by now."""
        held = set() if not self.refusing else {
            row[0] for row in self.outbox.query("select event_id::text from outbox.event where aggregate_id = 'refused'")}
        return set(self.emitted) - held - set(self.receiver.ids())

    def settled(self):
        """Everything but the refused key has arrived, and that one is parked."""
        wait.until(lambda: not self.missing(), 30, f"all events, see {self.relay.log}")
        wait.until(lambda: self.outbox.value("select count(*) from outbox.delivery where status = 'retrying'") == 1,
                   30, f"the refused key to be parked, see {self.relay.log}")
        wait.until(lambda: requests.get(f"http://127.0.0.1:{self.relay.port}/readyz", timeout=5).status_code == 200,
                   30, "readiness")

    def log(self, since):
        return self.relay.log.read_text(encoding="utf-8", errors="replace")[since:]

    def suffer(self, begin, end, sign, reconnect=False, accept=False):
        """The life of one fault, of which `sign` must be in the log. `accept`: the refused key isn't any more."""
        since = len(self.log(0))
        self.outbox.query(begin)
        try:
            if reconnect:
                self.outbox.query("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'relay'"
                                  " and datname = current_database()")
            self.refusing = not accept
            wait.until(lambda: self.emit() or sign in self.log(since), 20,
                       f"{sign} in the log, see {self.relay.log}", 0.2)
            # Nobody is deceived: all arrives, or it shows.
            wait.until(lambda: not self.missing() or is_told(self.outbox, self.relay), 20,
                       f"delivery, or somebody to be told, see {self.relay.log}")
        finally:
            self.outbox.query(end)
            self.refusing = True
        self.emit()
        self.settled()


@pytest.fixture(name="scene")
def fixture_scene(outbox, receiver):
    return Scene(outbox, receiver)


# Statements that are sent when a relay connects or is elected; the others when events come.
AT_ELECTION = {"subscriptions", "secrets", "lease", "rebase", "guard"}
# What each place suffers by default; with FAULTS=all everything.
ALWAYS = ("permission", "lost-connection")
OTHERS = [error for error in ERRORS if error not in ALWAYS]


def cases():
    for number, place in enumerate(PLACES):
        errors = ERRORS if os.environ.get("FAULTS") == "all" else (*ALWAYS, OTHERS[number % len(OTHERS)])
        yield from ((place, error) for error in errors)


@pytest.mark.parametrize("place", PLACES)
def test_a_statement_that_fails_loses_nothing(scene, place):
    """In all ways one after the other."""
    begin, end = PLACES[place]
    for error in (error for of, error in cases() if of == place):
        scene.outbox.query(RAISE.format(error=error, sqlstate=ERRORS[error] or "XX000"))
        scene.suffer(begin, end, ERRORS[error] or "reconnecting", reconnect=place in AT_ELECTION,
                     accept=place == "advance_key")


@pytest.mark.parametrize("right", RIGHTS)
@pytest.mark.parametrize("reconnect", [False, True], ids=["while-active", "at-election"])
def test_a_right_that_is_missing_loses_nothing(scene, right, reconnect):
    begin, end = RIGHTS[right]
    scene.suffer(begin, end, "42501", reconnect=reconnect)
