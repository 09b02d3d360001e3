"""Users shop through the Ingress while something is done to the cluster: when a file appears, they stop, and
whatever they were told must be so, and every event must have reached everyone who subscribed to it.

Usage: shopping.py URL STOP-FILE [all|some]    which requests have to be answered with 200 at once (some)
(the databases: PGHOST, PGPORT, PGUSER, PGPASSWORD, a superuser)"""

import sys
import time
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

import psycopg2

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / "integration"), str(ROOT / "tests" / "chaos")]

from lib import wait  # noqa: E402
from lib.client import Shop  # noqa: E402
from ledger import Ledger, check  # noqa: E402
from stress import MONEY, User  # noqa: E402

CLIENTS = 4
PATIENCE_S = 120


class Databases:
    """What the ledger asks of a stack. It connects anew each time: what it goes through may have moved."""

    def query(self, database, sql, parameters=None):
        connection = psycopg2.connect(dbname=database)
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute(sql, parameters)
                return cursor.fetchall()
        finally:
            connection.close()

    def undelivered(self):
        sources = [line.split("\t")[0].replace("-", "_")
                   for line in (ROOT / "deploy/services.tsv").read_text(encoding="utf-8").splitlines()
                   if line.endswith("\tpublishes")]
        return [row for source in sources for row in self.query(
            source, "select current_database(), subscription, lag_events, retrying, blocked"
                    " from outbox.status where lag_events > 0 or retrying > 0 or blocked > 0")]

    def delivered(self):
        # Twice: what was underway in the first look may have made events that a later one missed.
        behind = self.undelivered() or self.undelivered()
        assert not behind, behind
        return True


class Stop:
    """The clock of the users: over when the file appears."""

    def __init__(self, file):
        self._file, self._ended = file, None

    def over(self):
        if self._ended is None and self._file.exists():
            self._ended = time.monotonic()
        return self._ended is not None

    def give_up(self):
        return self.over() and time.monotonic() > self._ended + PATIENCE_S


class PrefixedUser(User):
    """A user of a shop that is not at the root of its host."""

    prefix = ""

    def _exchange(self, method, path, body, headers):
        return super()._exchange(method, self.prefix + path, body, headers)


def shop_until(url, stop):
    """Returns (ledger, ids of the users, samples, problems)."""
    parts = urlsplit(url)
    PrefixedUser.prefix = parts.path
    shop, ledger = Shop(url, ""), Ledger()
    people = [shop.user(money=str(MONEY)) for _ in range(CLIENTS)]
    users = [PrefixedUser((parts.hostname, parts.port or 80), person.token, person.id, ledger, stop)
             for person in people]
    for user in users:
        user.start()
    for user in users:
        user.join()
    samples = [sample for user in users for sample in user.samples]
    problems = [f"user {user.user_id}: {user.error!r}" for user in users if user.error]
    return ledger, {person.id for person in people}, samples, problems


def main():
    url, stop = sys.argv[1], Stop(Path(sys.argv[2]))
    ledger, users, samples, problems = shop_until(url, stop)
    databases = Databases()
    wait.until(databases.delivered, PATIENCE_S, "all events to be delivered", 0.2)
    counts, found = check(databases, ledger, users, MONEY)
    problems += found
    statuses = dict(sorted(Counter(status for _, _, status, _ in samples).items()))
    print(f"    {len(samples)} requests, by status {statuses}; {counts['orders acknowledged']} orders and "
          f"{counts['deliveries checked']} deliveries checked")
    if sys.argv[3:] == ["all"] and set(statuses) != {200}:
        problems.append("not every request was answered")
    for problem in problems[:10]:
        print(f"    {problem}")
    sys.exit(bool(problems) or not ledger.paid_orders)


if __name__ == "__main__":
    main()
