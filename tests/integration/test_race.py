"""Pay, reject, confirm and change the same order at the same time, a thousand times, while the
relay moves the events: afterwards the money adds up and no rejected order is paid.

RACE_ROUNDS sets the number of rounds."""

import functools
import itertools
import os
import random
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from lib import shop, wait
from lib.shop import ok, place
from lib.linked import HostileMover, Linked, Relay

ROUNDS = int(os.environ.get("RACE_ROUNDS", "1000"))
WORKERS = 6  # rounds at the same time
USERS = 4  # fewer than workers: rounds meet at the accounts too
MONEY = 1000000


@pytest.fixture(name="linked")
def _linked(pg, issuer):
    linked = Linked(pg, issuer, "order", "billing")
    yield linked
    linked.stop()


class Race:
    """Rounds on one pair of services. Every request must be answered 200, or 409 when it came too
    late."""

    def __init__(self, linked, issuer):
        self.order, self.billing = linked["order"], linked["billing"]
        shop.stock(self.order)
        self.users = [shop.new_user(issuer) for _ in range(USERS)]
        self.answers = {}
        self._lock = threading.Lock()
        self._requests = ThreadPoolExecutor(WORKERS * 4)
        self._bills = self._watch_bills()
        for user in self.users:
            ok(self.billing.post(user.account("add-money"), user.token, json={"money": MONEY}))

    def close(self):
        self._requests.shutdown()
        self._bills.close()

    def _watch_bills(self):
        return self.billing.pg.connect(self.billing.database)

    def open_bill(self, order_id):
        """The order's bill that can be paid, or None."""
        with self._bills.cursor() as cursor:
            cursor.execute("select bill_id from bill where order_id = %s and status = 'CREATED'",
                           (order_id,))
            row = cursor.fetchone()
            return row[0] if row else None

    def _send(self, barrier, what, service, path, user, body):
        if barrier:
            barrier.wait()
        response = service.post(path, user.token, json=body)
        with self._lock:
            key = (what, response.status_code)
            self.answers[key] = self.answers.get(key, 0) + 1

    def _shot(self, what, user, order_id, bill_id):
        """The arguments of _send after the barrier."""
        if what == "pay":
            return what, self.billing, user.account("bills", bill_id, "confirm"), user, None
        body = {"productId": 1, "quantity": 1} if what.endswith("items") else None
        return what, self.order, user.orders(order_id, what), user, body

    def _fire(self, shots):
        """Sends all of them at the same moment, as far as there is one."""
        barrier = threading.Barrier(len(shots))
        futures = [self._requests.submit(self._send, barrier, *shot) for shot in shots]
        for future in futures:
            future.result()

    def round(self, number):
        chance = random.Random(number)
        user = self.users[number % USERS]
        order_id = place(self.order, user, (1, 5))
        bill_id = wait.until(lambda: self.open_bill(order_id), 30, f"bill of order {order_id}",
                             0.002)
        others = chance.choice([["reject"], ["add-items"], ["remove-items"], ["confirm"],
                                ["reject", "add-items"], ["add-items", "remove-items"],
                                ["confirm", "reject"], ["confirm", "add-items", "reject"]])
        names = ["pay", *others]
        chance.shuffle(names)
        self._fire([self._shot(name, user, order_id, bill_id) for name in names])
        return user, order_id

    def second_wave(self, number, entry):
        """Pays what can be paid now, and rejects half of it at the same moment."""
        user, order_id = entry
        bill_id = self.open_bill(order_id)
        if bill_id:
            names = ["pay", "reject"] if number % 2 else ["pay"]
            self._fire([self._shot(name, user, order_id, bill_id) for name in names])

    def run(self, numbers):
        with ThreadPoolExecutor(WORKERS) as pool:
            return list(pool.map(self.round, numbers))

    def run_second_wave(self, entries):
        with ThreadPoolExecutor(WORKERS) as pool:
            list(pool.map(self.second_wave, itertools.count(), entries))


def check(race):
    """What must hold whenever all events have been delivered."""
    order, billing = race.order, race.billing
    assert {status for _, status in race.answers} <= {200, 409}, race.answers
    assert billing.query("select * from ledger_error") == []
    balances, completed = billing.query(
        "select (select sum(balance) from account),"
        " (select coalesce(sum(total), 0) from bill where status = 'COMPLETED')")[0]
    assert balances + completed == USERS * MONEY

    orders = {row[0]: row[1:] for row in order.query("select order_id, status, total from orders")}
    live = {}
    for order_id, status, total in billing.query(
            "select order_id, status, total from bill where status in ('CREATED', 'COMPLETED')"):
        assert order_id not in live, f"order {order_id} has two live bills"
        live[order_id] = (status, total)
    for order_id, (status, total) in orders.items():
        expected = {"REJECTED": None, "COMPLETED": ("COMPLETED", total)}.get(
            status, ("CREATED", total))
        assert live.get(order_id) == expected, (order_id, status, total)
    # A payment was taken by the order it completed, and by no other.
    assert order.value("select count(*) from payment where refusal is null") == sum(
        status == "COMPLETED" for status, _ in orders.values())


def refusals(race):
    return dict(race.order.query("select refusal, count(*) from payment"
                                 " where refusal is not null group by refusal"))


def run(linked, issuer, mover, rounds, parts=1, between_parts=None):
    linked.start(mover)
    race = Race(linked, issuer)
    try:
        entries = []
        for part in range(parts):
            entries += race.run(range(part * rounds // parts, (part + 1) * rounds // parts))
            if between_parts:
                between_parts(linked.mover)
        linked.wait_idle()
        check(race)
        # The race must have been one: payments met rejected and changed orders.
        assert set(refusals(race)) >= {"order_rejected", "total_mismatch"}, race.answers
        race.run_second_wave(entries)
        linked.wait_idle()
        check(race)
        print(f"{rounds} rounds, answers {race.answers}, refusals {refusals(race)}")
    finally:
        race.close()


def test_money_adds_up_after_a_thousand_races(linked, issuer):
    run(linked, issuer, Relay, ROUNDS)


def test_money_adds_up_though_the_relay_is_killed(linked, issuer):
    def kill_and_start(relay):
        relay.kill()
        relay.run()
    relay = functools.partial(Relay, batch_size=20)  # a request may carry events of several orders
    run(linked, issuer, relay, max(ROUNDS // 5, 100), parts=10, between_parts=kill_and_start)


def test_money_adds_up_though_events_are_repeated_and_reordered(linked, issuer):
    run(linked, issuer, HostileMover, max(ROUNDS // 5, 100))
