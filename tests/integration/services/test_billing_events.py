"""The billing service as a consumer: bills follow their orders, whatever the order in which events
arrive; refused payments are refunded; the ledger adds up after any interleaving."""

import itertools
import random
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest
from lib.events import event
from lib.service import assert_problem
from lib.shop import ok

_orders = itertools.count(1)


@pytest.fixture(scope="module", name="billing")
def _billing(start_service):
    service = start_service("billing")
    yield service
    check_ledger(service)


class Order:
    """An order as the order service would tell of it: each event has the next version."""

    def __init__(self, user, total="10"):
        self.id, self.user, self.status, self.version = next(_orders), user, "NEW", 0
        self.total = total

    def event(self, event_type, **more):
        """The next event; `status` and `total` change the order, other members go along."""
        self.status = more.pop("status", self.status)
        self.total = more.pop("total", self.total)
        self.version += 1
        return event(event_type, self.id, {
            "orderId": self.id, "userId": self.user.id, "status": self.status,
            "total": self.total, "version": self.version, "items": [], **more})

    def created(self):
        return self.event("order.created")

    def items(self, total):
        return self.event("order.itemsadded", total=total, productId=1, quantity=1)

    def confirmed(self):
        return self.event("order.confirmed", status="CONFIRMED")

    def rejected(self):
        return self.event("order.rejected", status="REJECTED")

    def refused(self, bill_id, reason="total_mismatch", **more):
        return self.event("order.paymentrefused", billId=bill_id, paidTotal="1", reason=reason,
                          **more)


@pytest.fixture(name="order")
def _order(user):
    return Order(user)


def bills(billing, order):
    """(status, total) of the order's bills, oldest first."""
    return billing.query("select status, trim_scale(total)::text from bill where order_id = %s"
                         " order by bill_id", (order.id,))


def newest_bill(billing, order):
    return billing.value("select max(bill_id) from bill where order_id = %s", (order.id,))


def pay(billing, order):
    path = order.user.account("bills", newest_bill(billing, order), "confirm")
    return billing.post(path, order.user.token)


def give(billing, user, money):
    ok(billing.post(user.account("add-money"), user.token, json={"money": money}))


def balance(billing, user):
    return ok(billing.get(user.account(), user.token))["money"]


def check_ledger(billing):
    """What must hold at any time."""
    assert billing.query("select * from ledger_error") == []
    added, balances, completed = billing.query(
        "select (select coalesce(sum(amount), 0) from ledger_entry where kind = 'ADDED'),"
        " (select coalesce(sum(balance), 0) from account),"
        " (select coalesce(sum(total), 0) from bill where status = 'COMPLETED')")[0]
    assert balances + completed == added
    # A bill is paid exactly when it says so, and refunded exactly what was paid.
    assert billing.query(
        "select bill_id, status from bill b where"
        " coalesce((select -sum(amount) from ledger_entry e where e.bill_id = b.bill_id), 0)"
        " <> case status when 'COMPLETED' then total else 0 end") == []
    assert billing.query(
        "select bill_id, status from bill b where (status in ('COMPLETED', 'REFUNDED'))"
        " <> exists (select from ledger_entry e where e.bill_id = b.bill_id"
        "            and kind = 'PAYMENT' and amount = -b.total)") == []
    assert billing.query(
        "select bill_id, status from bill b where (status = 'REFUNDED')"
        " <> exists (select from ledger_entry e where e.bill_id = b.bill_id"
        "            and kind = 'REFUND')") == []
    # Each entry's balance is the running sum of its account.
    assert billing.query(
        "select entry_id from (select entry_id, balance_after, sum(amount)"
        " over (partition by account_id order by entry_id) as running from ledger_entry) e"
        " where balance_after <> running") == []


class TestBillFollowsOrder:
    def test_created(self, billing, order):
        billing.events.deliver(order.created())
        assert bills(billing, order) == [("CREATED", "10")]

    def test_items_and_confirmation(self, billing, order):
        billing.events.deliver(order.created(), order.items("25.5"))
        assert bills(billing, order) == [("CREATED", "25.5")]
        billing.events.deliver(order.event("order.itemsremoved", total="7", productId=1,
                                           quantity=1), order.confirmed())
        assert bills(billing, order) == [("CREATED", "7")]
        assert billing.value("select order_version from bill where order_id = %s",
                             (order.id,)) == 4

    @pytest.mark.parametrize("confirm", [False, True])
    def test_rejected(self, billing, order, confirm):
        events = [order.created()] + [order.confirmed()] * confirm + [order.rejected()]
        billing.events.deliver(*events)
        assert bills(billing, order) == [("REJECTED", "10")]

    @pytest.mark.parametrize("places", list(itertools.permutations(range(4))))
    def test_any_order_of_events_ends_the_same(self, billing, order, places):
        events = [order.created(), order.items("20"), order.items("30"), order.confirmed()]
        for place in places:
            billing.events.deliver(events[place])
        assert bills(billing, order) == [("CREATED", "30")]

    @pytest.mark.parametrize("places", list(itertools.permutations(range(3))))
    def test_rejection_is_final_in_any_order(self, billing, order, places):
        events = [order.created(), order.items("20"), order.rejected()]
        billing.events.deliver(*(events[place] for place in places))
        assert [status for status, _ in bills(billing, order)] in (["REJECTED"], [])
        ids = [row[0] for row in billing.query("select bill_id from bill where order_id = %s",
                                               (order.id,))]
        for bill_id in ids:
            path = order.user.account("bills", bill_id, "confirm")
            assert_problem(billing.post(path, order.user.token), 409, "bill_wrong_status")

    def test_repeated_events_change_nothing(self, billing, order):
        events = [order.created(), order.items("20"), order.confirmed()]
        billing.events.deliver(*events)
        before = billing.query("select * from bill where order_id = %s", (order.id,))
        billing.events.deliver(*events)
        fresh = [event(old["type"], order.id, old["data"]) for old in events]
        billing.events.deliver(*fresh)
        assert billing.query("select * from bill where order_id = %s", (order.id,)) == before

    def test_late_event_does_not_touch_a_paid_bill(self, billing, order):
        give(billing, order.user, 100)
        created, late = order.created(), order.items("99")
        billing.events.deliver(created)
        ok(pay(billing, order))
        billing.events.deliver(late)
        assert bills(billing, order) == [("COMPLETED", "10")]

    def test_parallel_events_make_one_bill(self, billing, order):
        events = [order.created(), *(order.items(str(n)) for n in range(20, 39))]
        random.shuffle(events)
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(billing.events.deliver, events))
        assert bills(billing, order) == [("CREATED", "38")]

    @pytest.mark.parametrize("data", [
        {"orderId": 0}, {"orderId": "1"}, {"userId": -1}, {"status": "PAID"}, {"status": None},
        {"total": "-1"}, {"total": "1.001"}, {"total": None}, {"version": 0}, {"version": 1.5}])
    def test_impossible_event_is_refused_for_good(self, billing, order, data):
        bad = order.created()
        bad["data"].update(data)
        assert billing.events.post(bad).status_code == 422
        assert bills(billing, order) == []

    def test_unsigned_event_counts_nothing(self, billing, order):
        response = billing.events.post(order.created(), headers={"webhook-signature": None})
        assert response.status_code == 401
        assert bills(billing, order) == []


class TestRefund:
    def test_rejected_order_gives_the_money_back(self, billing, order):
        give(billing, order.user, 100)
        billing.events.deliver(order.created())
        ok(pay(billing, order))
        bill_id = newest_bill(billing, order)
        billing.events.deliver(order.rejected())
        assert bills(billing, order) == [("COMPLETED", "10")]
        billing.events.deliver(order.refused(bill_id, "order_rejected"))
        assert bills(billing, order) == [("REFUNDED", "10")]
        assert balance(billing, order.user) == "100"
        (refunded,) = billing.emitted("billing.paymentrefunded", bill_id)
        account = billing.value("select account_id from account where user_id = %s",
                                (order.user.id,))
        assert refunded["payload"] == {
            "userId": order.user.id, "accountId": account, "billId": bill_id,
            "orderId": order.id, "total": "10", "reason": "order_rejected"}

    @pytest.mark.parametrize("confirmed", [False, True])
    def test_other_total_gives_a_new_bill(self, billing, order, confirmed):
        give(billing, order.user, 100)
        billing.events.deliver(order.created())
        ok(pay(billing, order))
        bill_id = newest_bill(billing, order)
        events = [order.items("30")] + [order.confirmed()] * confirmed
        billing.events.deliver(*events, order.refused(bill_id))
        assert bills(billing, order) == [("REFUNDED", "10"), ("CREATED", "30")]
        assert balance(billing, order.user) == "100"
        ok(pay(billing, order))
        assert bills(billing, order) == [("REFUNDED", "10"), ("COMPLETED", "30")]
        assert balance(billing, order.user) == "70"
        paid = billing.emitted("billing.paymentcompleted", newest_bill(billing, order))
        assert paid[0]["payload"]["orderVersion"] == order.version

    def test_new_bill_has_the_newest_total_though_its_event_came_first(self, billing, order):
        give(billing, order.user, 100)
        billing.events.deliver(order.created())
        ok(pay(billing, order))
        second = order.items("20")
        refused = order.refused(newest_bill(billing, order))
        third = order.items("30")
        billing.events.deliver(third, second, refused)
        assert bills(billing, order) == [("REFUNDED", "10"), ("CREATED", "30")]

    def test_no_new_bill_when_the_rejection_came_first(self, billing, order):
        give(billing, order.user, 100)
        billing.events.deliver(order.created())
        ok(pay(billing, order))
        refused = order.refused(newest_bill(billing, order))
        billing.events.deliver(order.rejected())
        billing.events.deliver(refused)
        assert bills(billing, order) == [("REFUNDED", "10")]
        assert balance(billing, order.user) == "100"

    def test_repeated_refusal_refunds_once(self, billing, order):
        give(billing, order.user, 100)
        billing.events.deliver(order.created())
        ok(pay(billing, order))
        refused = order.refused(newest_bill(billing, order))
        billing.events.deliver(refused)
        billing.events.deliver(refused)
        billing.events.deliver(event(refused["type"], order.id, refused["data"]))
        assert balance(billing, order.user) == "100"
        assert bills(billing, order) == [("REFUNDED", "10"), ("CREATED", "10")]

    def test_refund_fits_into_a_full_account(self, billing, order):
        give(billing, order.user, "999999999999.99")
        billing.events.deliver(order.created())
        ok(pay(billing, order))
        response = billing.post(order.user.account("add-money"), order.user.token,
                                json={"money": "10"})
        assert_problem(response, 409, "total_too_large")
        billing.events.deliver(order.refused(newest_bill(billing, order)))
        assert balance(billing, order.user) == "999999999999.99"

    def test_refusal_of_an_unpaid_bill_moves_no_money(self, billing, order):
        give(billing, order.user, 100)
        billing.events.deliver(order.created())
        billing.events.deliver(order.refused(newest_bill(billing, order)))
        assert bills(billing, order) == [("CREATED", "10")]
        assert balance(billing, order.user) == "100"

    def test_others_bill_is_not_refunded(self, billing, order, other_user):
        give(billing, other_user, 100)
        other = Order(other_user)
        billing.events.deliver(other.created(), order.created())
        ok(pay(billing, other))
        response = billing.events.post(order.refused(newest_bill(billing, other)))
        assert response.status_code == 422
        assert bills(billing, other) == [("COMPLETED", "10")]

    @pytest.mark.parametrize("more", [{"billId": 0}, {"billId": None}, {"reason": ""},
                                      {"reason": None}, {"billId": 10**15}])
    def test_impossible_refusal_is_refused_for_good(self, billing, order, more):
        billing.events.deliver(order.created())
        bad = order.refused(newest_bill(billing, order))
        bad["data"].update(more)
        assert billing.events.post(bad).status_code == 422


class TestInterleaving:
    """Random histories of several orders, told concurrently, shuffled and repeated."""

    @pytest.mark.parametrize("seed", range(6))
    def test_ledger_adds_up(self, billing, user, other_user, seed):
        chance = random.Random(seed)
        orders = [Order(chance.choice([user, other_user])) for _ in range(12)]
        for owner in (user, other_user):
            give(billing, owner, 200)
        jobs = [lambda told=told: billing.events.deliver(*told)
                for told in self._histories(chance, orders)]
        jobs += [lambda order=order: self._try_to_pay(billing, order)
                 for order in orders for _ in range(3)]
        jobs += [lambda: give(billing, user, "0.5"), lambda: give(billing, other_user, "0.5")] * 5
        chance.shuffle(jobs)
        with ThreadPoolExecutor(8) as pool:
            for done in [pool.submit(job) for job in jobs]:
                done.result()
        check_ledger(billing)
        self._refuse_all(billing, orders)
        check_ledger(billing)
        for order in orders:
            told = bills(billing, order)
            live = [bill for bill in told if bill[0] in ("CREATED", "COMPLETED")]
            expected = [] if order.status == "REJECTED" else [
                ("CREATED", str(Decimal(order.total)))]
            assert live == expected, (order.id, order.status, told)
        for owner in (user, other_user):
            assert balance(billing, owner) == "202.5"

    @staticmethod
    def _histories(chance, orders):
        """Batches of events in any order, some twice."""
        told = []
        for order in orders:
            told.append(order.created())
            told += [order.items(str(chance.randint(1, 60))) for _ in range(chance.randint(0, 5))]
            if chance.random() < 0.5:
                told.append(order.confirmed())
            if chance.random() < 0.3:
                told.append(order.rejected())
        told += chance.sample(told, len(told) // 3)
        chance.shuffle(told)
        while told:
            size = chance.randint(1, 5)
            yield told[:size]
            told = told[size:]

    @staticmethod
    def _try_to_pay(billing, order):
        ids = billing.query("select max(bill_id) from bill where order_id = %s", (order.id,))
        if ids[0][0]:
            path = order.user.account("bills", ids[0][0], "confirm")
            assert billing.post(path, order.user.token).status_code in (200, 409)

    @staticmethod
    def _refuse_all(billing, orders):
        for order in orders:
            paid = billing.query("select bill_id from bill where order_id = %s"
                                 " and status = 'COMPLETED'", (order.id,))
            for (bill_id,) in paid:
                billing.events.deliver(order.refused(bill_id))
