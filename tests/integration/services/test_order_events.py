"""The order service as a consumer: payments that fit or are refused, copies of products and prices;
each event also late, repeated and out of order."""

import itertools
from concurrent.futures import ThreadPoolExecutor

import pytest
from lib import shop
from lib.events import event
from lib.shop import ok, place

_bills = itertools.count(1)
_products = itertools.count(2000)


@pytest.fixture(scope="module", name="order")
def _order(start_service):
    service = start_service("order")
    shop.stock(service)
    return service


def payment(user, order_id, total, bill_id=None):
    bill_id = bill_id or next(_bills)
    return event("billing.paymentcompleted", bill_id,
                 {"userId": user.id, "accountId": 1, "billId": bill_id, "orderId": order_id,
                  "total": total, "orderVersion": 1})


def status(order, user, order_id):
    return ok(order.get(user.orders(order_id), user.token))["status"]


def types(order, order_id):
    return [emitted["type"] for emitted in order.emitted(aggregate_id=order_id)]


def step(order, user, order_id, *steps):
    for what in steps:
        ok(order.post(user.orders(order_id, what), user.token))


def last_refusal(order, order_id):
    emitted = order.emitted(aggregate_id=order_id)[-1]
    assert emitted["type"] == "order.paymentrefused"
    return emitted["payload"]


class TestPayment:
    def test_new_order_is_confirmed_and_completed(self, order, user):
        order_id = place(order, user, (1, 1))
        order.events.deliver(payment(user, order_id, "10"))
        assert status(order, user, order_id) == "COMPLETED"
        created, confirmed, completed = order.emitted(aggregate_id=order_id)
        assert [e["type"] for e in (created, confirmed, completed)] == [
            "order.created", "order.confirmed", "order.completed"]
        assert [e["payload"]["version"] for e in (created, confirmed, completed)] == [1, 2, 3]
        assert confirmed["payload"]["status"] == "CONFIRMED"
        assert completed["payload"]["status"] == "COMPLETED"

    def test_confirmed_order_is_completed(self, order, user):
        order_id = place(order, user, (1, 1))
        step(order, user, order_id, "confirm")
        order.events.deliver(payment(user, order_id, "10"))
        assert types(order, order_id) == ["order.created", "order.confirmed", "order.completed"]

    def test_trace_goes_on(self, order, user):
        order_id = place(order, user, (1, 1))
        trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        order.events.deliver({**payment(user, order_id, "10"), "traceparent": trace})
        completed = order.emitted(aggregate_id=order_id)[-1]
        assert trace.split("-")[1] in completed["headers"]["traceparent"]

    def test_completed_order_is_closed(self, order, user):
        order_id = place(order, user, (1, 2))
        order.events.deliver(payment(user, order_id, "20"))
        for what in ("confirm", "reject", "add-items", "remove-items"):
            response = order.post(user.orders(order_id, what), user.token,
                                  json={"productId": 1, "quantity": 1})
            assert response.status_code == 409

    def test_rejected_order_refuses(self, order, user):
        order_id = place(order, user, (1, 1))
        step(order, user, order_id, "reject")
        paid = payment(user, order_id, "10")
        order.events.deliver(paid)
        assert status(order, user, order_id) == "REJECTED"
        refusal = last_refusal(order, order_id)
        assert refusal["reason"] == "order_rejected"
        assert refusal["billId"] == paid["data"]["billId"]
        assert refusal["paidTotal"] == refusal["total"] == "10"
        assert refusal["status"] == "REJECTED"
        assert refusal["version"] == 3

    @pytest.mark.parametrize("before", [[], ["confirm"]])
    @pytest.mark.parametrize("paid", ["9.99", "10.01", "1000"])
    def test_other_total_is_refused(self, order, user, before, paid):
        order_id = place(order, user, (1, 1))
        step(order, user, order_id, *before)
        order.events.deliver(payment(user, order_id, paid))
        assert status(order, user, order_id) == ("CONFIRMED" if before else "NEW")
        refusal = last_refusal(order, order_id)
        assert (refusal["reason"], refusal["paidTotal"]) == ("total_mismatch", paid)
        order.events.deliver(payment(user, order_id, "10"))
        assert status(order, user, order_id) == "COMPLETED"

    def test_second_bill_is_refused(self, order, user):
        order_id = place(order, user, (1, 1))
        order.events.deliver(payment(user, order_id, "10"))
        order.events.deliver(payment(user, order_id, "10"))
        assert last_refusal(order, order_id)["reason"] == "order_completed"
        assert status(order, user, order_id) == "COMPLETED"
        assert types(order, order_id).count("order.completed") == 1

    def test_same_event_twice_counts_once(self, order, user):
        order_id = place(order, user, (1, 1))
        paid = payment(user, order_id, "10")
        order.events.deliver(paid)
        order.events.deliver(paid)
        order.events.deliver(paid, paid)
        assert types(order, order_id) == ["order.created", "order.confirmed", "order.completed"]

    @pytest.mark.parametrize("before, total", [([], "10"), (["reject"], "10"), ([], "11")])
    def test_same_payment_in_another_event_counts_once(self, order, user, before, total):
        """As after a replay from before the inbox's memory."""
        order_id = place(order, user, (1, 1))
        step(order, user, order_id, *before)
        bill_id = next(_bills)
        order.events.deliver(payment(user, order_id, total, bill_id))
        events = types(order, order_id)
        order.events.deliver(payment(user, order_id, total, bill_id))
        assert types(order, order_id) == events

    def test_parallel_payments_complete_it_once(self, order, user):
        order_id = place(order, user, (1, 1))
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _: order.events.deliver(payment(user, order_id, "10")), range(8)))
        assert types(order, order_id).count("order.completed") == 1
        assert types(order, order_id).count("order.paymentrefused") == 7
        assert order.value("select count(*) from payment where order_id = %s and refusal is null",
                           (order_id,)) == 1

    @pytest.mark.parametrize("data", [
        {"orderId": 10**15}, {"userId": 1}, {"orderId": "1"}, {"billId": None}, {"billId": 0},
        {"total": "0"}, {"total": "-10"}, {"total": "10.001"}, {"total": 10**15}])
    def test_impossible_payment_is_refused_for_good(self, order, user, data):
        order_id = place(order, user, (1, 1))
        bad = payment(user, order_id, "10")
        bad["data"].update(data)
        response = order.events.post(bad)
        assert response.status_code == 422, response.text
        assert status(order, user, order_id) == "NEW"

    def test_one_bad_event_of_a_batch_holds_up_no_other(self, order, user):
        first, second = place(order, user, (1, 1)), place(order, user, (1, 1))
        bad = payment(user, 10**15, "10")
        response = order.events.post(payment(user, first, "10"), bad, payment(user, second, "10"))
        assert response.status_code == 200
        (failed,) = response.json()["failed"]
        assert (failed["id"], failed["permanent"]) == (bad["id"], True)
        assert status(order, user, first) == status(order, user, second) == "COMPLETED"

    def test_unsigned_payment_counts_nothing(self, order, user):
        order_id = place(order, user, (1, 1))
        for headers in ({"webhook-signature": None}, {"webhook-signature": "v1,AAAA"},
                        {"webhook-timestamp": "1"}):
            response = order.events.post(payment(user, order_id, "10"), headers=headers)
            assert response.status_code == 401, response.text
        assert status(order, user, order_id) == "NEW"


def can_order(order, user, product_id):
    response = order.post(user.orders(), user.token,
                          json={"items": [{"productId": product_id, "quantity": 1}]})
    return response.status_code


class TestCatalog:
    def test_price_may_come_before_the_product(self, order, user):
        product = next(_products)
        order.events.deliver(shop.price_event(product, [(1, "1")]))
        assert can_order(order, user, product) == 404
        order.events.deliver(shop.product_event(product))
        assert can_order(order, user, product) == 200

    def test_late_change_does_not_bring_an_archived_product_back(self, order, user):
        product = next(_products)
        order.events.deliver(shop.price_event(product, [(1, "1")]),
                             shop.product_event(product, version=3, archived=True),
                             shop.product_event(product, version=2))
        assert can_order(order, user, product) == 409

    def test_late_price_does_not_undo_a_newer_one(self, order, user):
        product = next(_products)
        order.events.deliver(shop.product_event(product),
                             shop.price_event(product, [(1, "3"), (2, "2")], version=3),
                             shop.price_event(product, [(1, "2"), (5, "1")], version=2),
                             shop.price_event(product, [(1, "9")], version=3))
        order_id = place(order, user, (product, 10))
        assert ok(order.get(user.orders(order_id), user.token))["total"] == "21"

    def test_newer_price_replaces_all_tiers(self, order):
        product = next(_products)
        order.events.deliver(shop.price_event(product, [(1, "3"), (2, "2"), (9, "1")], version=1),
                             shop.price_event(product, [(1, "5"), (7, "4")], version=2))
        assert order.query("select quantity, value from price_tier where product_id = %s"
                           " order by quantity", (product,)) == [(1, 5), (7, 4)]

    @pytest.mark.parametrize("data", [
        {"prices": []}, {"prices": [{"quantity": 2, "value": "1"}]},
        {"prices": [{"quantity": 1, "value": "1"}, {"quantity": 1, "value": "1"}]},
        {"prices": [{"quantity": 1, "value": "1"}, {"quantity": 5, "value": "1"},
                    {"quantity": 4, "value": "1"}]},
        {"prices": [{"quantity": 1, "value": "-1"}]}, {"prices": [{"quantity": 1}]},
        {"prices": [1]}, {"prices": None}, {"version": 0}, {"version": "1"}, {"productId": -1},
    ])
    def test_impossible_price_is_refused_for_good(self, order, data):
        product = next(_products)
        bad = {"productId": product, "version": 1, "prices": [{"quantity": 1, "value": "1"}],
               **data}
        assert order.events.post(event("price.changed", product, bad)).status_code == 422
        assert order.value("select count(*) from price_copy where product_id = %s", (product,)) == 0

    @pytest.mark.parametrize("data", [{"archived": None}, {"archived": "false"}, {"version": 0}])
    def test_impossible_product_is_refused_for_good(self, order, data):
        product = next(_products)
        bad = {"productId": product, "name": "", "description": "", "archived": False,
               "version": 1, **data}
        assert order.events.post(event("product.changed", product, bad)).status_code == 422

    def test_event_of_another_type_is_taken_and_ignored(self, order):
        order.events.deliver(event("order.whatever", 1, {}))
