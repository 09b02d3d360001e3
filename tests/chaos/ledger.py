"""What users were told, and whether the databases agree."""

import threading
from collections import Counter
from decimal import Decimal
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class Ledger:
    """Filled by many threads."""

    def __init__(self):
        self._lock = threading.Lock()
        self.orders = {}  # order → user, acknowledged
        self.paid_orders, self.rejected_orders = set(), set()
        self.doubled = []
        self.tried = Counter()  # (user, what) → writes begun, each with a key of its own

    def trying(self, user, what):
        with self._lock:
            self.tried[user, what] += 1

    def ordered(self, user, order):
        with self._lock:
            if order in self.orders:
                self.doubled.append(order)
            self.orders[order] = user

    def paid(self, order):
        with self._lock:
            self.paid_orders.add(order)

    def rejected(self, order):
        with self._lock:
            self.rejected_orders.add(order)


def check(stack, ledger, users, money):
    """Call it when all events are delivered. Returns (counts for people, problems)."""
    problems = [f"order {order} was given to two requests" for order in ledger.doubled]
    orders = {order: (user, status, total) for order, user, status, total in stack.query(
        "order", "select order_id, user_id, status, total from orders where user_id = any (%s)",
        (list(users),))}
    problems += _check_orders(ledger, orders)
    problems += _check_bills(stack, orders)
    problems += _check_money(stack, users, money)
    problems += _check_notifications(stack, orders)
    events, found = _check_events(stack)
    problems += found
    return {"orders acknowledged": len(ledger.orders), "orders in the database": len(orders),
            "payments acknowledged": len(ledger.paid_orders),
            "rejections acknowledged": len(ledger.rejected_orders),
            "deliveries checked": events}, problems


def _check_orders(ledger, orders):
    problems = []
    for order, user in ledger.orders.items():
        if order not in orders:
            problems.append(f"order {order} was acknowledged and is lost")
        elif orders[order][0] != user:
            problems.append(f"order {order} of user {user} belongs to user {orders[order][0]}")
    for wanted, mine in (("COMPLETED", ledger.paid_orders), ("REJECTED", ledger.rejected_orders)):
        problems += [f"order {order} is {orders[order][1]}, not {wanted}"
                     for order in mine if order in orders and orders[order][1] != wanted]
    # Sent again with the same key, a request makes no second order.
    for user, made in Counter(user for user, _, _ in orders.values()).items():
        tried = ledger.tried[user, "create order"]
        if made > tried:
            problems.append(f"user {user} has {made} orders of {tried} requests")
    return problems


def _check_bills(stack, orders):
    """Each order has one bill, of its total, and paid if and only if the order is completed."""
    wanted = {"NEW": "CREATED", "CONFIRMED": "CREATED", "COMPLETED": "COMPLETED", "REJECTED": "REJECTED"}
    bills = {}
    problems = []
    for order, status, total in stack.query("billing", "select order_id, status, total from bill"):
        if order in bills:
            problems.append(f"order {order} has two bills")
        bills[order] = (status, total)
    for order, (_, status, total) in orders.items():
        if bills.get(order) != (wanted[status], total):
            problems.append(f"order {order} is {status} of {total}, its bill {bills.get(order)}")
    return problems


def _check_money(stack, users, money):
    [[balances, paid]] = stack.query(
        "billing", "select (select sum(balance) from account where user_id = any (%s)),"
                   " (select coalesce(sum(total), 0) from bill join account using (account_id)"
                   "   where user_id = any (%s) and status = 'COMPLETED')", (list(users), list(users)))
    added = Decimal(money) * len(users)
    return [] if balances + paid == added else [f"{added} added, {balances} left, {paid} paid"]


def _check_notifications(stack, orders):
    told = Counter(stack.query("notification", "select order_id, event_type from notification"))
    problems = []
    for order, (_, status, _) in orders.items():
        types = {"COMPLETED": ["order.confirmed", "order.completed"],
                 "REJECTED": ["order.rejected"]}.get(status, [])
        problems += [f"{told[order, event]} messages of {event} for order {order}"
                     for event in types if told[order, event] != 1]
    return problems


def _check_events(stack):
    """Every event has reached everyone who subscribed to its type, and nothing else has."""
    problems, count = [], 0
    emitted = {}
    for line in (ROOT / "deploy/subscriptions.tsv").read_text(encoding="utf-8").splitlines():
        if not line or line.startswith("#"):
            continue
        source, consumer, types = line.split("\t")
        database = source.replace("-", "_")
        wanted = emitted.setdefault((consumer, source), set())
        wanted.update(event for event, in stack.query(
            database, "select event_id::text from outbox.event where outbox.matches(%s, event_type)",
            (types.split(","),)))
    for (consumer, source), wanted in emitted.items():
        got = {event for event, in stack.query(
            consumer.replace("-", "_"), "select event_id::text from inbox.message where source = %s",
            ("/" + source,))}
        count += len(wanted)
        if wanted - got:
            problems.append(f"{len(wanted - got)} events of {source} have not reached {consumer}")
        if got - wanted:
            problems.append(f"{len(got - wanted)} events that {source} never committed reached {consumer}")
    for database in sorted({source.replace("-", "_") for _, source in emitted}):
        problems += [f"{database}: event {event} for {name} is {status}" for event, name, status in stack.query(
            database, "select event_id::text, subscription, status from outbox.delivery")]
    return count, problems
