"""The billing service for its users: accounts, money added, bills, payment."""

import itertools
from concurrent.futures import ThreadPoolExecutor

import pytest
from lib.events import event
from lib.service import assert_problem
from lib.shop import ok

_orders = itertools.count(1)
MAX = "999999999999.99"


@pytest.fixture(scope="module", name="billing")
def _billing(start_service):
    service = start_service("billing")
    yield service
    assert service.query("select * from ledger_error") == []


def add_money(billing, user, money):
    return billing.post(user.account("add-money"), user.token, json={"money": money})


def money_of(billing, user):
    return ok(billing.get(user.account(), user.token))["money"]


def bill_of(billing, user, total, order_id=None, version=1, status="NEW"):
    """A bill of a new order; returns its id."""
    order_id = order_id or next(_orders)
    billing.events.deliver(event("order.created", order_id, {
        "orderId": order_id, "userId": user.id, "status": status, "total": total,
        "version": version, "items": []}))
    return billing.value("select bill_id from bill where order_id = %s", (order_id,))


def pay(billing, user, bill_id):
    return billing.post(user.account("bills", bill_id, "confirm"), user.token)


class TestAccount:
    def test_opened_by_user_created(self, billing, user):
        assert_problem(billing.get(user.account(), user.token), 404, "not_found")
        created = event("user.created", user.id, {"userId": user.id, "username": "u",
                                                  "role": "USER"}, source="/auth")
        billing.events.deliver(created)
        account = ok(billing.get(user.account(), user.token))
        assert set(account) == {"accountId", "userId", "money"}
        assert (account["userId"], account["money"]) == (user.id, "0")
        billing.events.deliver(created, {**created, "id": created["id"][:-1] + "0"})
        assert ok(billing.get(user.account(), user.token)) == account

    @pytest.mark.parametrize("user_id", [0, -1, "1", None, 2**63])
    def test_impossible_user_is_refused_for_good(self, billing, user_id):
        response = billing.events.post(event("user.created", 1, {"userId": user_id}))
        assert response.status_code in (400, 422)

    def test_money_is_added_before_the_account_is_known(self, billing, user):
        answer = ok(add_money(billing, user, "99.90"))
        assert answer["money"] == "99.9"
        account = ok(billing.get(user.account(), user.token))
        assert account["money"] == "99.9"
        (emitted,) = billing.emitted("billing.moneyadded", account["accountId"])
        assert emitted["id"] == answer["eventId"]
        entry_id = billing.value("select entry_id from ledger_entry where account_id = %s",
                                 (account["accountId"],))
        assert emitted["payload"] == {"userId": user.id, "accountId": account["accountId"],
                                      "entryId": entry_id, "money": "99.9", "balance": "99.9"}

    @pytest.mark.parametrize("money, balance", [
        ("0.01", "0.01"), (1, "1"), (99.9, "99.9"), ("1000", "1000"), ("10.10", "10.1"),
        (MAX, MAX)])
    def test_forms_of_money(self, billing, user, money, balance):
        assert ok(add_money(billing, user, money))["money"] == balance

    @pytest.mark.parametrize("money", [
        "0", 0, "-1", -1, "1.001", 0.001, "1e3", "x", "", " 1", None, True, [], {}, "1,5", "NaN",
        "1000000000000", 10**18, 10**30, "0x10", "٣"])
    def test_bad_money_adds_nothing(self, billing, user, money):
        assert_problem(add_money(billing, user, money), 400, "bad_field", "money")
        assert_problem(billing.get(user.account(), user.token), 404, "not_found")

    def test_too_much_in_all(self, billing, user):
        ok(add_money(billing, user, MAX))
        assert_problem(add_money(billing, user, "0.01"), 409, "total_too_large")
        assert money_of(billing, user) == MAX

    def test_what_was_spent_still_counts(self, billing, user):
        """So that a refund always fits."""
        ok(add_money(billing, user, MAX))
        ok(pay(billing, user, bill_of(billing, user, MAX)))
        assert money_of(billing, user) == "0"
        assert_problem(add_money(billing, user, "0.01"), 409, "total_too_large")

    def test_parallel_additions_all_count(self, billing, user):
        with ThreadPoolExecutor(8) as pool:
            done = list(pool.map(lambda _: add_money(billing, user, "0.37"), range(50)))
        assert {response.status_code for response in done} == {200}
        assert money_of(billing, user) == "18.5"
        assert len({response.json()["money"] for response in done}) == 50

    def test_idempotency_key_adds_once(self, billing, user):
        def add(money):
            return billing.post(user.account("add-money"), user.token, json={"money": money},
                                headers={"Idempotency-Key": f"add-{user.id}"})
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: ok(add("5"))["eventId"], range(16)))
        assert len(set(answers)) == 1
        assert money_of(billing, user) == "5"
        assert_problem(add("6"), 422, "idempotency_mismatch")

    def test_others_account_is_forbidden(self, billing, user, other_user, issuer):
        for path in (user.account(), user.account("bills"), user.account("bills", 1)):
            assert_problem(billing.get(path, other_user.token), 403, "forbidden")
            assert_problem(billing.get(path, issuer.admin(user.id)), 403, "forbidden")
            assert_problem(billing.get(path), 401, "unauthorized")
        response = billing.post(user.account("add-money"), other_user.token, json={"money": 1})
        assert_problem(response, 403, "forbidden")


class TestBills:
    def test_list_and_get(self, billing, user, other_user):
        ids = [bill_of(billing, user, total) for total in ("1", "2.5", "0")]
        bill_of(billing, other_user, "9")
        response = billing.get(user.account("bills"), user.token)
        bills = ok(response)
        assert [bill["billId"] for bill in bills] == ids
        assert [bill["total"] for bill in bills] == ["1", "2.5", "0"]
        assert response.headers["X-Total-Count"] == "3"
        account = ok(billing.get(user.account(), user.token))["accountId"]
        for bill in bills:
            assert set(bill) == {"billId", "accountId", "orderId", "status", "total"}
            assert (bill["accountId"], bill["status"]) == (account, "CREATED")
            assert ok(billing.get(user.account("bills", bill["billId"]), user.token)) == bill
        response = billing.get(user.account("bills") + "?page=1&size=2", user.token)
        assert [bill["billId"] for bill in ok(response)] == ids[2:]

    def test_no_account_no_bills(self, billing, user):
        assert ok(billing.get(user.account("bills"), user.token)) == []

    def test_others_bill_is_not_found(self, billing, user, other_user):
        bill_id = bill_of(billing, user, "1")
        ok(add_money(billing, other_user, 10))
        path = other_user.account("bills", bill_id)
        assert_problem(billing.get(path, other_user.token), 404, "not_found")
        assert_problem(pay(billing, other_user, bill_id), 404, "not_found")
        assert money_of(billing, other_user) == "10"

    @pytest.mark.parametrize("bill_id", ["0", "x", "-1", "9223372036854775808"])
    def test_bad_id(self, billing, user, bill_id):
        assert_problem(billing.get(user.account("bills", bill_id), user.token), 400,
                       "bad_path_id")
        assert_problem(pay(billing, user, bill_id), 400, "bad_path_id")


class TestPayment:
    def test_paid(self, billing, user):
        ok(add_money(billing, user, 100))
        bill_id = bill_of(billing, user, "99.9", version=7)
        answer = ok(pay(billing, user, bill_id))
        assert money_of(billing, user) == "0.1"
        bill = ok(billing.get(user.account("bills", bill_id), user.token))
        assert bill["status"] == "COMPLETED"
        (emitted,) = billing.emitted("billing.paymentcompleted", bill_id)
        assert emitted["id"] == answer["eventId"]
        assert emitted["payload"] == {
            "userId": user.id, "accountId": bill["accountId"], "billId": bill_id,
            "orderId": bill["orderId"], "total": "99.9", "orderVersion": 7}
        assert billing.query("select amount::text, kind, bill_id, balance_after::text"
                             " from ledger_entry where account_id = %s order by entry_id",
                             (bill["accountId"],)) == [
            ("100.00", "ADDED", None, "100.00"), ("-99.90", "PAYMENT", bill_id, "0.10")]

    @pytest.mark.parametrize("total, code", [("10.01", "not_enough_money"), ("0", "bill_empty")])
    def test_cannot_be_paid(self, billing, user, total, code):
        ok(add_money(billing, user, 10))
        bill_id = bill_of(billing, user, total)
        assert_problem(pay(billing, user, bill_id), 409, code)
        assert money_of(billing, user) == "10"
        assert billing.emitted("billing.paymentcompleted", bill_id) == []

    def test_whole_balance(self, billing, user):
        ok(add_money(billing, user, 10))
        ok(pay(billing, user, bill_of(billing, user, "10")))
        assert money_of(billing, user) == "0"

    def test_not_twice(self, billing, user):
        ok(add_money(billing, user, 100))
        bill_id = bill_of(billing, user, "10")
        ok(pay(billing, user, bill_id))
        assert_problem(pay(billing, user, bill_id), 409, "bill_wrong_status")
        assert money_of(billing, user) == "90"

    def test_rejected_bill(self, billing, user):
        ok(add_money(billing, user, 100))
        order_id = next(_orders)
        bill_id = bill_of(billing, user, "10", order_id)
        billing.events.deliver(event("order.rejected", order_id, {
            "orderId": order_id, "userId": user.id, "status": "REJECTED", "total": "10",
            "version": 2, "items": []}))
        assert_problem(pay(billing, user, bill_id), 409, "bill_wrong_status")

    def test_unknown_bill(self, billing, user):
        assert_problem(pay(billing, user, 10**15), 404, "not_found")
        ok(add_money(billing, user, 1))
        assert_problem(pay(billing, user, 10**15), 404, "not_found")

    def test_one_of_parallel_payments_wins(self, billing, user):
        ok(add_money(billing, user, 100))
        bill_id = bill_of(billing, user, "10")
        with ThreadPoolExecutor(8) as pool:
            done = list(pool.map(lambda _: pay(billing, user, bill_id).status_code, range(16)))
        assert sorted(done) == [200] + [409] * 15
        assert money_of(billing, user) == "90"

    def test_bills_in_parallel_spend_what_there_is(self, billing, user):
        ok(add_money(billing, user, 35))
        bills = [bill_of(billing, user, "10") for _ in range(8)]
        with ThreadPoolExecutor(8) as pool:
            done = list(pool.map(lambda bill: pay(billing, user, bill), bills))
        assert sorted(response.status_code for response in done) == [200] * 3 + [409] * 5
        assert {response.json()["code"] for response in done if response.status_code == 409} == {
            "not_enough_money"}
        assert money_of(billing, user) == "5"


class TestLedger:
    def test_is_append_only(self, billing, user):
        ok(add_money(billing, user, 1))
        for sql in ("update ledger_entry set amount = 2", "delete from ledger_entry",
                    "truncate ledger_entry"):
            with pytest.raises(Exception, match="append-only"):
                billing.query(sql)

    def test_balance_below_zero_is_impossible(self, billing, user):
        ok(add_money(billing, user, 1))
        with pytest.raises(Exception, match="account_balance_check"):
            billing.query("update account set balance = -1 where user_id = %s", (user.id,))

    def test_balance_does_not_change_without_an_entry(self, billing, user):
        ok(add_money(billing, user, 5))
        account = "(select account_id from account where user_id = %s)"
        for sql in ("update account set balance = 4 where user_id = %s",
                    "update account set balance = balance - 1, added = added - 1"
                    " where user_id = %s",
                    "insert into ledger_entry (account_id, amount, kind, balance_after)"
                    f" values ({account}, 1, 'ADDED', 6)"):
            with pytest.raises(Exception, match="its ledger says"):
                billing.query(sql, (user.id,))
        billing.query(f"select post_entry({account}, 1, 'ADDED')", (user.id,))
        assert money_of(billing, user) == "6"

    def test_audit_finds_a_balance_without_entries(self, billing, user):
        ok(add_money(billing, user, 5))
        force = "set session_replication_role = replica; "  # leaves triggers out
        billing.query(force + "update account set balance = 4 where user_id = %s", (user.id,))
        assert [row[1] for row in billing.query("select * from ledger_error")] == [4]
        billing.query(force + "update account set balance = 5 where user_id = %s", (user.id,))
