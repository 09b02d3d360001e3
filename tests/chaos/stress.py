"""Users shop through the gateway, all at once; in the middle PostgreSQL is killed and, a while later,
started again. At the end: what was sent, what was answered how fast, and whether anything that was
acknowledged is lost, doubled or not yet told to everybody who should know.

    make stress [DURATION=60] [CLIENTS=8] [OUTAGE=5]      seconds, users, seconds without database

Each user makes orders, pays most, rejects some, and reads. A write that gets no 200 is sent again with the
same Idempotency-Key until it gets one, as a good client does. The stack is its own. The report goes to
standard output and, for programs, to build/test/stress.json. Exit status 1 when something is wrong."""

import argparse
import http.client
import json
import math
import random
import sys
import threading
import time
import uuid
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "integration"))

from lib import process  # noqa: E402
from lib.client import shop_at  # noqa: E402
from lib.full_stack import FullStack  # noqa: E402
from ledger import Ledger, check  # noqa: E402

FAILURES = (http.client.HTTPException, OSError)
# What a client may meet while the database is unavailable; 0 is a connection that broke.
OUTAGE_STATUSES = {0, 502, 503, 504}
MONEY = 1000000000  # each
QUANTILES = (0.5, 0.95, 0.99, 1.0)


class GaveUp(Exception):
    """A write was not acknowledged before the end."""


class User(threading.Thread):
    """One client with one connection. `samples` are (start, what, status, seconds)."""

    def __init__(self, address, token, user_id, ledger, clock):
        super().__init__()
        self.user_id, self._token = user_id, token
        self._address, self._ledger, self._clock = address, ledger, clock
        self._connection = None
        self._random = random.Random(user_id)
        self._orders = 0
        self.samples, self.error = [], None

    def run(self):
        try:
            while not self._clock.over():
                self._shop_once()
        except GaveUp:
            pass  # the ledger knows what is in doubt
        except Exception as error:
            self.error = error

    # One way through the shop

    def _shop_once(self):
        items = [{"productId": product, "quantity": self._random.randint(1, 20)}
                 for product in self._random.sample(range(1, 21), 2)]
        order = self._write("create order", "/me/orders", {"items": items})["orderId"]
        self._ledger.ordered(self.user_id, order)
        self._orders += 1
        if self._random.random() < 0.2:
            self._write("reject order", f"/me/orders/{order}/reject")
            self._ledger.rejected(order)
        else:
            bill = self._await_bill(order)
            self._write("pay bill", f"/me/bills/{bill}/confirm")
            self._ledger.paid(order)
        self._send("read order", "GET", f"/me/orders/{order}")
        self._send("read product", "GET", f"/products/{self._random.randint(1, 20)}")

    def _await_bill(self, order):
        """Bills are listed oldest first, so this order's is on the last page, or on the one before
        while an older order's bill has still to come."""
        pause = 0.005
        last = (self._orders - 1) // 10
        while True:
            for page in range(last, max(last - 2, -1), -1):
                status, bills = self._send("list bills", "GET", f"/me/bills?size=10&page={page}")
                found = [bill["billId"] for bill in (bills if status == 200 else [])
                         if bill["orderId"] == order]
                if found:
                    return found[0]
            if self._clock.give_up():
                raise GaveUp
            time.sleep(pause)
            pause = min(pause * 2, 0.25)

    # Requests

    def _write(self, what, path, body=None):
        """Sends until acknowledged; returns the answer."""
        key, pause = str(uuid.uuid4()), 0.02
        self._ledger.trying(self.user_id, what)
        while True:
            status, answer = self._send(what, "POST", path, body or {}, key)
            if status == 200:
                return answer
            if status not in OUTAGE_STATUSES:
                raise AssertionError(f"{what}: {status} {answer}")
            if self._clock.give_up():
                raise GaveUp
            time.sleep(pause)
            pause = min(pause * 2, 0.5)

    def _send(self, what, method, path, body=None, key=None):
        headers = {"Authorization": f"Bearer {self._token}"}
        if key:
            headers.update({"Idempotency-Key": key, "Content-Type": "application/json"})
        began = time.monotonic()
        status, answer = self._exchange(method, path, json.dumps(body) if key else None, headers)
        self.samples.append((began, what, status, time.monotonic() - began))
        return status, answer

    def _exchange(self, method, path, body, headers):
        try:
            if self._connection is None:
                self._connection = http.client.HTTPConnection(*self._address, timeout=30)
            self._connection.request(method, path, body, headers)
            response = self._connection.getresponse()
            return response.status, json.loads(response.read())
        except FAILURES:
            if self._connection:
                self._connection.close()
            self._connection = None
            return 0, None


class Clock:
    """When to stop beginning anew, and when to stop trying; and the phases of the report: before, down
    (from the kill), start (from the order to start PostgreSQL until it is up) and after."""

    def __init__(self, duration_s, patience_s=60):
        self.began = time.monotonic()
        self._end = self.began + duration_s
        self._patience_s = patience_s
        self.down = self.start = self.up = math.inf

    def over(self):
        return time.monotonic() >= self._end

    def give_up(self):
        return time.monotonic() >= self._end + self._patience_s

    def sleep_until(self, seconds):
        time.sleep(max(0, self.began + seconds - time.monotonic()))

    def phase(self, moment):
        for phase, end in (("before", self.down), ("down", self.start), ("start", self.up)):
            if moment < end:
                return phase
        return "after"


def quantile(sorted_values, q):
    """The smallest value that q of all do not exceed: 1.0 is the slowest."""
    return sorted_values[math.ceil(len(sorted_values) * q) - 1]


def measure(samples, clock, ended):
    """By phase: duration, counts by status, and the latency of what was answered with 200."""
    limits = {"before": (clock.began, clock.down), "down": (clock.down, clock.start),
              "start": (clock.start, clock.up), "after": (clock.up, ended)}
    phases = {}
    for phase, (begin, end) in limits.items():
        mine = [sample for sample in samples if clock.phase(sample[0]) == phase]
        good = sorted(seconds for _, _, status, seconds in mine if status == 200)
        phases[phase] = {
            "seconds": round(end - begin, 2), "requests": len(mine),
            "statuses": dict(sorted(Counter(status for _, _, status, _ in mine).items())),
            "latency": {str(q): quantile(good, q) for q in QUANTILES} if good else {}}
    return phases


def by_request(samples):
    kinds = {}
    for what in sorted({sample[1] for sample in samples}):
        good = sorted(s for _, kind, status, s in samples if kind == what and status == 200)
        if good:
            kinds[what] = {"requests": len(good),
                           "latency": {str(q): quantile(good, q) for q in QUANTILES}}
    return kinds


def milliseconds(latency):
    return "".join(f"{latency[str(q)] * 1000:9.1f}" if latency else f"{'-':>9}" for q in QUANTILES)


def print_report(report):
    head = "".join(f"{f'{q * 100:g} %':>9}" for q in QUANTILES)
    print(f"\n{'phase':14}{'seconds':>9}{'requests':>10}{'per s':>9}{head}   ms to a 200; statuses (0: broken)")
    for phase, figures in report["phases"].items():
        statuses = ", ".join(f"{status}: {count}" for status, count in figures["statuses"].items())
        rate = figures["requests"] / figures["seconds"] if figures["seconds"] else 0
        print(f"{phase:14}{figures['seconds']:9.1f}{figures['requests']:10}{rate:9.1f}"
              f"{milliseconds(figures['latency'])}   {statuses}")
    print(f"\n{'request':14}{'':9}{'200s':>10}{'':9}{head}")
    for what, figures in report["requests"].items():
        print(f"{what:14}{'':9}{figures['requests']:10}{'':9}{milliseconds(figures['latency'])}")
    print(f"\nFirst 200 came {report['recovery_s']:.2f} s after PostgreSQL was told to start; "
          f"all events delivered {report['settled_s']:.2f} s after the last request")
    for name, value in report["checked"].items():
        print(f"  {name:34}{value:>10}")


def stress(stack, arguments):
    ledger = Ledger()
    with shop_at(stack.url, "127.0.0.8") as shop:
        people = [shop.user(money=str(MONEY)) for _ in range(arguments.clients)]
    clock = Clock(arguments.duration)
    users = [User(stack.address, person.token, person.id, ledger, clock) for person in people]
    for user in users:
        user.start()
    clock.sleep_until(arguments.duration * 0.4)
    clock.down = time.monotonic()
    with stack.killed("postgres"):
        time.sleep(arguments.outage)
        clock.start = time.monotonic()
    clock.up = time.monotonic()
    for user in users:
        user.join()
    ended = time.monotonic()
    stack.wait_delivered(120)
    settled = time.monotonic()

    problems = [f"user {user.user_id}: {user.error!r}" for user in users if user.error]
    checked, found = check(stack, ledger, {person.id for person in people}, MONEY)
    samples = sorted(sample for user in users for sample in user.samples)
    answered = [began + seconds for began, _, status, seconds in samples
                if status == 200 and began >= clock.start]
    if not answered:
        found.append("nothing was answered with 200 after the outage")
    return {"clients": arguments.clients, "duration_s": arguments.duration,
            "phases": measure(samples, clock, ended), "requests": by_request(samples),
            "recovery_s": min(answered, default=ended) - clock.start, "settled_s": settled - ended,
            "checked": checked, "problems": problems + found}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--duration", type=float, default=60, help="seconds of load (60)")
    parser.add_argument("--clients", type=int, default=8, help="users at the same time (8)")
    parser.add_argument("--outage", type=float, default=5, help="seconds without database (5)")
    arguments = parser.parse_args()
    if arguments.duration * 0.6 < arguments.outage + 2 or not 1 <= arguments.clients <= 100:
        parser.error("too short for its outage, or not 1 to 100 clients")
    print(f"{arguments.clients} users for {arguments.duration:g} s; "
          f"PostgreSQL is killed after {arguments.duration * 0.4:g} s for {arguments.outage:g} s")
    stack = FullStack()
    try:
        report = stress(stack, arguments)
    finally:
        stack.down()
    print_report(report)
    folder = process.BUILD / "test"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "stress.json").write_text(json.dumps(report, indent=2) + "\n")
    for problem in report["problems"]:
        print(f"stress: {problem}", file=sys.stderr)
    print("Nothing acknowledged was lost." if not report["problems"] else "FAILED")
    sys.exit(1 if report["problems"] else 0)


if __name__ == "__main__":
    main()
