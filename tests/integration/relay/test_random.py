"""Everything at once: receivers that misbehave at random, operators who give every command, relays
that are killed, several subscriptions with filters of their own. At the end each subscription has
had every committed event that it wants, each key in order, and no exception is left over."""

import collections
import os
import random
import signal
import threading
import time

import psycopg2
import pytest

from lib import wait
from receiver import RESET, RESET_IN_BODY, Answer

SECONDS = float(os.environ.get("RANDOM_TEST_S", "12"))
SEED = int(os.environ.get("RANDOM_TEST_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 32)
KEYS = 12
TYPES = ("order.created", "order.paid", "user.created")
UNKNOWN = "00000000-0000-4000-8000-000000000000"

SUBSCRIPTIONS = {
    "all": {"event_types": ["*"], "max_in_flight": 4, "max_attempts": 3},
    "orders": {"event_types": ["order.*"], "batch_size": 10, "max_in_flight": 2, "max_attempts": 4,
               "on_dead": "block"},
    "users": {"event_types": ["user.created"], "batch_size": 5, "max_in_flight": 1, "max_attempts": 2},
    "paid": {"event_types": ["order.paid", "user.created"], "batch_size": 50, "max_attempts": 5},
}

# Remembers what was ever given up, and after how many attempts.
DEATHS = """
    create table public.death (subscription text, event_id uuid, attempts integer);
    create function public.note_death() returns trigger language plpgsql security definer as $$
    begin
        insert into public.death values (new.subscription, new.event_id, new.attempts);
        return null;
    end $$;
    create trigger note_insert after insert on outbox.delivery for each row
        when (new.status = 'dead') execute function public.note_death();
    create trigger note_update after update on outbox.delivery for each row
        when (new.status = 'dead' and old.status <> 'dead') execute function public.note_death();
"""


class Misbehaviour:
    """One subscription's receiver: answers at random while `on`, well when not."""

    def __init__(self, receiver, seed):
        self.receiver = receiver
        self.random = random.Random(seed)
        self.lock = threading.Lock()
        self.on = True
        self.not_accepted = collections.Counter()  # by event id: answers that did not accept it
        receiver.behave = self.behave

    def behave(self, request):
        if not self.on:
            return None
        with self.lock:
            answer = self._choose(request)
            failed = request.ids if not answer.accepts else self.receiver.failed_ids(answer)
            self.not_accepted.update(set(failed))
        return answer

    def _choose(self, request):
        # Some events are refused and some crash the receiver nearly always, whatever is around them.
        for event_id in request.ids:
            kind = int(event_id[-2:], 16)
            if kind < 6 and self.random.random() < 0.9:
                return Answer(self.random.choice((400, 422, 500)))
            if kind == 6 and self.random.random() < 0.9:
                return RESET
        dice = self.random.random()
        if dice < 0.80:
            return Answer(delay_s=self.random.choice((0, 0, 0, 0.01)))
        if dice < 0.86:
            return self._partial(request)
        return self.random.choice((
            Answer(500), Answer(404), Answer(503), Answer(502), RESET, RESET_IN_BODY,
            Answer(429, headers={"Retry-After": "0"}), Answer(301, headers={"Location": "/else"}),
            Answer(200, {"failed": [{"id": 7}]}, accepts=False), Answer(delay_s=0.4, accepts=False),
            Answer(410) if self.random.random() < 0.3 else Answer(204),
        ))

    def _partial(self, request):
        """Refuses some, and as a sound receiver does, whatever follows them in their key."""
        failed, keys = [], set()
        for event in request.events:
            if event["partitionkey"] in keys or self.random.random() < 0.3:
                keys.add(event["partitionkey"])
                failed.append({"id": event["id"], "error": "not now"})
        noise = [{"id": UNKNOWN, "error": "?"}] + failed[:1]
        return Answer(200, {"failed": failed + noise})


class Emitter(threading.Thread):
    """Transactions of several events; some are rolled back, some take their time."""

    def __init__(self, outbox, seed, stop):
        super().__init__()
        self.outbox, self.random, self.stop_event = outbox, random.Random(seed), stop

    def run(self):
        connection = self.outbox.connect()
        connection.autocommit = False
        while not self.stop_event.is_set():
            try:
                with connection.cursor() as cursor:
                    # In one order, so that no two of them wait for each other.
                    for key in sorted(self.random.sample(range(KEYS), self.random.randint(1, 3))):
                        cursor.execute("select outbox.emit('thing', %s, %s, '{}')",
                                       (str(key), self.random.choice(TYPES)))
                        time.sleep(self.random.choice((0, 0, 0.005)))
                if self.random.random() < 0.15:
                    connection.rollback()
                else:
                    connection.commit()
            except psycopg2.Error:
                connection.rollback()
            time.sleep(self.random.random() * 0.02)
        connection.close()


class Operators:
    """Every command, and every way to lose a relay."""

    def __init__(self, outbox, seed, settings):
        self.outbox, self.random, self.settings = outbox, random.Random(seed), settings
        self.skipped = set()  # (subscription, event_id)
        self.relays = [outbox.relay(**settings) for _ in range(2)]

    def act(self):
        name = self.random.choice(list(SUBSCRIPTIONS))
        self.random.choice((self.pause, self.resume, self.resume, self.replay, self.redrive,
                            self.redrive, self.skip, self.change, self.kill, self.stop,
                            self.disconnect))(name)

    def pause(self, name):
        self.outbox.query("select outbox.pause(%s)", (name,))

    def resume(self, name):
        self.outbox.query("select outbox.resume(%s)", (name,))

    def replay(self, name):
        self.outbox.query("select outbox.replay(%s, greatest(1, (select max(id) from outbox.event)"
                          " - %s))", (name, self.random.randint(0, 200)))

    def redrive(self, name):
        self.outbox.query("select outbox.redrive(%s)", (name,))

    def skip(self, name):
        rows = self.outbox.query("select event_id::text from outbox.delivery where subscription = %s"
                                 " order by random() limit 1", (name,))
        for (event_id,) in rows:
            self.skipped.add((name, event_id))
            self.outbox.query("select outbox.skip(%s, %s)", (name, event_id))

    def change(self, name):
        self.outbox.query("select outbox.subscribe(%s, url, max_in_flight => %s, batch_size =>"
                          " case batch_size when 1 then 1 else %s end)"
                          "  from outbox.subscription where name = %s",
                          (name, self.random.randint(1, 6), self.random.randint(2, 40), name))

    def kill(self, _name):
        relay = self.relays.pop(self.random.randrange(len(self.relays)))
        relay.process.kill()
        relay.process.wait()
        self.relays.append(self.outbox.relay(**self.settings))

    def stop(self, _name):
        relay = self.relays.pop(self.random.randrange(len(self.relays)))
        assert relay.stop() in (0, -signal.SIGTERM)  # the latter when it had hardly begun
        self.relays.append(self.outbox.relay(**self.settings))

    def disconnect(self, _name):
        self.outbox.query("select pg_terminate_backend(pid) from pg_stat_activity"
                          " where datname = current_database() and application_name = 'outbox-relay'")


def come_to_rest(outbox):
    """Everything is delivered: redrives what is dead until nothing is left to do."""
    def at_rest():
        for name in SUBSCRIPTIONS:
            outbox.query("select outbox.resume(%s), outbox.redrive(%s)", (name, name))
        return (outbox.value("select count(*) from outbox.delivery") == 0
                and outbox.value("select sum(lag_events) from outbox.status") == 0)
    try:
        wait.until(at_rest, 60, "all to be delivered", 0.3)
    except TimeoutError as error:
        left = outbox.query("select subscription, id, event_id::text, aggregate_id, status, attempts,"
                            " next_attempt_at, last_error from outbox.delivery order by 1, 2")
        raise AssertionError(f"left over: {outbox.query('select * from outbox.status')} {left}") from error


def wanted_by(outbox, name):
    """Committed events of a subscription, in order: [(event_id, key)]"""
    return outbox.query(
        "select e.event_id::text, e.aggregate_id from outbox.event e, outbox.subscription s"
        " where s.name = %s and outbox.matches(s.event_types, e.event_type) order by e.id", (name,))


def check_order(name, wanted, first_seen, excused):
    """First deliveries of a key come in order, but for events that were given up meanwhile."""
    last = {}
    for event_id, key in wanted:
        at = first_seen.get(event_id)
        if at is None or event_id in excused:
            continue
        before = last.get(key)
        assert before is None or before[0] < at, f"{name}: {event_id} came before {before[1]} of its key"
        last[key] = (at, event_id)


@pytest.mark.parametrize("wake", ["listen", "poll"])
def test_everything_at_once(outbox, receivers, wake):
    print(f"RANDOM_TEST_SEED={SEED}")
    outbox.query(DEATHS)
    chance = random.Random(SEED)
    misbehaviours = {}
    for name, options in SUBSCRIPTIONS.items():
        receiver = receivers()
        misbehaviours[name] = Misbehaviour(receiver, chance.random())
        outbox.subscribe(name, receiver.url(), timeout_ms=200, retry_base_ms=10, retry_max_ms=50,
                         **options)
    operators = Operators(outbox, chance.random(), {"OUTBOX_RELAY_WAKE": wake})
    stop = threading.Event()
    emitters = [Emitter(outbox, chance.random(), stop) for _ in range(3)]
    for emitter in emitters:
        emitter.start()
    try:
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            operators.act()
            stop.wait(chance.random() * 0.3)
    finally:
        stop.set()
        for emitter in emitters:
            emitter.join()
    for misbehaviour in misbehaviours.values():
        misbehaviour.on = False
    come_to_rest(outbox)

    for name, misbehaviour in misbehaviours.items():
        wanted = wanted_by(outbox, name)
        assert len(wanted) > 50, "too little has happened"
        first_seen = {}
        for at, event_id in enumerate(misbehaviour.receiver.ids()):
            first_seen.setdefault(event_id, at)
        skipped = {event_id for whose, event_id in operators.skipped if whose == name}
        missing = {event_id for event_id, _ in wanted} - set(first_seen) - skipped
        assert not missing, f"{name}: never delivered: {missing}"
        assert set(first_seen) <= {event_id for event_id, _ in wanted}, "unasked or rolled back"
        deaths = outbox.query("select event_id::text, count(*), min(attempts) from public.death"
                              " where subscription = %s group by 1", (name,))
        # A dead event that holds its key is overtaken by none.
        given_up = set() if SUBSCRIPTIONS[name].get("on_dead") == "block" else {row[0] for row in deaths}
        check_order(name, wanted, first_seen, skipped | given_up)
        for event_id, times, least in deaths:
            assert least >= SUBSCRIPTIONS[name]["max_attempts"], f"{name}: {event_id} died early"
            assert misbehaviour.not_accepted[event_id] >= times * SUBSCRIPTIONS[name]["max_attempts"]
