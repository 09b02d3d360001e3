"""Several services with what moves events between them: the real relay, or a hostile stand-in that
breaks every promise of the relay but at-least-once."""

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatch

import requests

from . import process, wait
from .events import event
from .service import Service


def subscriptions():
    """(source, consumer, [event types]) of the shop, as it is deployed."""
    for line in (process.ROOT / "deploy" / "subscriptions.tsv").read_text("utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            source, consumer, types = line.split("\t")
            yield source, consumer, types.split(",")


class Linked:
    """Services by name (`linked["order"]`) and, once started, a mover of events. Databases are made
    anew. stop() ends all, last started first."""

    def __init__(self, pg, issuer, *names, **settings):
        self.pg = pg
        for name in names:
            pg.query("postgres", f'drop database if exists "{name.replace("-", "_")}" with (force)')
        self.services = {name: Service(name, pg, issuer, **settings) for name in names}
        self.mover = None

    def __getitem__(self, name):
        return self.services[name]

    def subscriptions(self):
        """Those between these services."""
        return [entry for entry in subscriptions()
                if entry[0] in self.services and entry[1] in self.services]

    def start(self, mover):
        for service in self.services.values():
            service.start()
        self.mover = mover(self)
        return self

    def stop(self):
        if self.mover:
            self.mover.stop()
        for service in reversed(self.services.values()):
            service.stop()
            service.emitted()  # checks each event against docs/events.md

    def wait_idle(self, timeout_s=60):
        """Until every event has been delivered, also those that deliveries gave rise to."""
        try:
            wait.until(self._is_idle, timeout_s, "all events to be delivered", 0.05)
        except TimeoutError as error:
            raise TimeoutError(f"still undelivered: {self.mover.behind()}") from error

    def _event_counts(self):
        return [service.value("select count(*) from outbox.event")
                for service in self.services.values()]

    def _is_idle(self):
        counts = self._event_counts()
        return not self.mover.behind() and counts == self._event_counts()


class Relay:
    """The real relay, on every source of a group of linked services."""

    def __init__(self, linked, **options):
        self.linked = linked
        self.sources = sorted({source for source, _, _ in linked.subscriptions()})
        self.port = process.free_port()
        self.log = process.directory("relay") / "log"
        for source, consumer, types in linked.subscriptions():
            self._subscribe(source, consumer, types, options)
        self.run()

    def _subscribe(self, source, consumer, types, options):
        service = self.linked[consumer]
        arguments = {"name": consumer, "url": service.url + "/internal/events",
                     "event_types": types, "secret": service.secret, "from_beginning": True,
                     **options}
        named = ", ".join(f"{name} => %({name})s" for name in arguments)
        self.linked[source].query(f"select outbox.subscribe({named})", arguments)

    def run(self):
        command = [process.binary("outbox-relay"), "run", "--listen", f"127.0.0.1:{self.port}"]
        for source in self.sources:
            command += ["--source", f"{source}={self.linked.pg.dsn(source, 'relay')}"]
        with open(self.log, "ab") as log:
            self._process = process.start(command, stdout=log, stderr=log)
        wait.until(self._is_ready, 20, f"the relay to be ready, see {self.log} (KEEP_LOGS=1)")

    def _is_ready(self):
        if self._process.poll() is not None:
            raise wait.GiveUp(f"the relay ended: {self.log.read_text(errors='replace')[-3000:]}")
        return requests.get(f"http://127.0.0.1:{self.port}/readyz", timeout=2).ok

    def behind(self):
        """What waits or is parked in any source, as text. An event given up is an error."""
        found = []
        for source in self.sources:
            for name, lag, retrying, blocked, dead, error in self.linked[source].query(
                    "select subscription, lag_events, retrying, blocked, dead, last_error"
                    " from outbox.status"):
                if dead:
                    raise wait.GiveUp(f"{source} to {name}: {dead} dead, {error}")
                if lag or retrying or blocked:
                    found.append(f"{source} to {name}: lag {lag}, retrying {retrying},"
                                 f" blocked {blocked}, last error {error}")
        return found

    def kill(self):
        self._process.kill()
        self._process.wait()

    def stop(self):
        status = process.stop(self._process)
        assert status == 0, f"the relay ended with {status}: {self.log.read_text()[-3000:]}"


class HostileMover:
    """Delivers every event, many of them several times, in any order, some far too late, on several
    connections at once: what consumers must survive even beyond the relay's promises."""

    def __init__(self, linked, seed=1):
        self.linked = linked
        self._chance = random.Random(seed)
        self._seen = {source: set() for source, _, _ in linked.subscriptions()}
        self._held_back = []
        self._failure = None
        self._pending = 1  # deliveries under way, or not yet looked for
        self._stopped = threading.Event()
        self._pool = ThreadPoolExecutor(4)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _new_deliveries(self):
        for source, seen in self._seen.items():
            rows = self.linked[source].query(
                "select id, event_type, aggregate_id, payload, event_id from outbox.event"
                " where id <> all(%s) limit 200", (list(seen),))
            seen.update(row[0] for row in rows)
            for _, event_type, key, payload, event_id in rows:
                told = event(event_type, key, payload, source="/" + source, event_id=str(event_id))
                for subscribed, consumer, types in self.linked.subscriptions():
                    if subscribed == source and any(fnmatch(event_type, one) for one in types):
                        yield from [(consumer, told)] * self._chance.choice([1, 1, 2, 3])

    def _run(self):
        try:
            while not self._stopped.wait(0.005):
                self._step()
        except Exception as error:  # behind() tells the test
            self._failure = error

    def _step(self):
        deliveries = [*self._new_deliveries(), *self._held_back]
        self._chance.shuffle(deliveries)
        late = int(len(deliveries) * 0.3)
        self._held_back = deliveries[:late]
        jobs = [self._pool.submit(self.linked[consumer].events.deliver, told)
                for consumer, told in deliveries[late:]]
        for job in jobs:
            job.result()
        self._pending = len(deliveries)

    def behind(self):
        if self._failure:
            raise wait.GiveUp("a delivery failed") from self._failure
        return [f"{self._pending} deliveries"] if self._pending else []

    def stop(self):
        self._stopped.set()
        self._thread.join()
        self._pool.shutdown()
