"""The order service: orders made, looked at, changed, confirmed and rejected by their owners."""

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest
from lib import shop
from lib.service import assert_problem
from lib.shop import ok, place

MAX_INT64 = 2**63 - 1


@pytest.fixture(scope="module", name="order")
def _order(start_service):
    service = start_service("order")
    shop.stock(service)
    return service


def get(order, user, order_id):
    return ok(order.get(user.orders(order_id), user.token))


def change(order, user, order_id, what, product_id, quantity):
    return order.post(user.orders(order_id, what), user.token,
                      json={"productId": product_id, "quantity": quantity})


def price_of(tiers, quantity):
    """The graduated price, unit by unit: the obvious way."""
    def value(unit):
        return max((first, Decimal(text)) for first, text in tiers if first <= unit)[1]
    return sum(value(unit) for unit in range(1, quantity + 1))


class TestCreate:
    def test_empty_order(self, order, user):
        answer = ok(order.post(user.orders(), user.token))
        assert set(answer) == {"eventId", "orderId"}
        order_id = answer["orderId"]
        assert get(order, user, order_id) == {
            "orderId": order_id, "userId": user.id, "status": "NEW", "total": "0", "items": []}
        (event,) = order.emitted(aggregate_id=order_id)
        assert event["id"] == answer["eventId"]
        assert event["type"] == "order.created"
        assert event["payload"] == {"orderId": order_id, "userId": user.id, "status": "NEW",
                                    "total": "0", "items": [], "version": 1}

    @pytest.mark.parametrize("body", [{}, {"items": None}, {"items": []}])
    def test_empty_list_of_items(self, order, user, body):
        order_id = ok(order.post(user.orders(), user.token, json=body))["orderId"]
        assert get(order, user, order_id)["items"] == []

    def test_order_with_items(self, order, user):
        order_id = place(order, user, (2, 50), (1, 12))
        items = [{"productId": 1, "quantity": 12, "total": "118.5"},
                 {"productId": 2, "quantity": 50, "total": "0.5"}]
        assert get(order, user, order_id) == {"orderId": order_id, "userId": user.id,
                                              "status": "NEW", "total": "119", "items": items}
        (event,) = order.emitted(aggregate_id=order_id)
        assert event["payload"]["items"] == items
        assert event["payload"]["version"] == 1

    def test_same_product_twice_is_one_item(self, order, user):
        order_id = place(order, user, (1, 8), (1, 4))
        assert get(order, user, order_id)["items"] == [
            {"productId": 1, "quantity": 12, "total": "118.5"}]

    @pytest.mark.parametrize("items, status, code, field", [
        ({}, 400, "bad_field", "items"),
        ([1], 400, "bad_field", "items[0]"),
        ([{"productId": 1}], 400, "bad_field", "items[0].quantity"),
        ([{"productId": 1, "quantity": 1}, {"quantity": 1}], 400, "bad_field",
         "items[1].productId"),
        ([{"productId": 1, "quantity": 0}], 400, "bad_field", "items[0].quantity"),
        ([{"productId": 1, "quantity": 1000001}], 400, "bad_field", "items[0].quantity"),
        ([{"productId": 1, "quantity": 1.0}], 400, "bad_field", "items[0].quantity"),
        ([{"productId": "1", "quantity": 1}], 400, "bad_field", "items[0].productId"),
        ([{"productId": 1, "quantity": 1}] * 101, 400, "bad_field", "items"),
        ([{"productId": 1, "quantity": 1}, {"productId": 5, "quantity": 1}], 404,
         "unknown_product", "items[1].productId"),
        ([{"productId": 4, "quantity": 1}], 404, "unknown_product", "items[0].productId"),
        ([{"productId": 3, "quantity": 1}], 409, "product_archived", "items[0].productId"),
        ([{"productId": 6, "quantity": 2}], 409, "total_too_large", None),
        ([{"productId": 6, "quantity": 1}, {"productId": 2, "quantity": 1}], 409,
         "total_too_large", None),
    ])
    def test_bad_items_leave_nothing(self, order, user, items, status, code, field):
        events = len(order.emitted())
        response = order.post(user.orders(), user.token, json={"items": items})
        assert_problem(response, status, code, field)
        assert ok(order.get(user.orders(), user.token)) == []
        assert len(order.emitted()) == events

    def test_broken_json(self, order, user):
        response = order.post(user.orders(), user.token, data=b'{"items":')
        assert_problem(response, 400, "bad_json")

    def test_idempotency_key_makes_one_order(self, order, user):
        key = {"Idempotency-Key": f"create-{user.id}"}
        body = {"items": [{"productId": 1, "quantity": 1}]}
        first = order.post(user.orders(), user.token, json=body, headers=key)
        again = order.post(user.orders(), user.token, json=body, headers=key)
        assert ok(again) == ok(first)
        assert again.headers["Idempotency-Replayed"] == "true"
        assert len(ok(order.get(user.orders(), user.token))) == 1
        other = order.post(user.orders(), user.token, headers=key)
        assert_problem(other, 422, "idempotency_mismatch")


class TestRead:
    def test_list_is_paged_and_counted(self, order, user, other_user):
        ids = [place(order, user, (1, 1)) for _ in range(3)]
        place(order, other_user, (1, 1))
        response = order.get(user.orders(), user.token)
        assert [entry["orderId"] for entry in ok(response)] == ids
        assert response.headers["X-Total-Count"] == "3"
        assert set(response.json()[0]) == {"orderId", "userId", "status", "total"}
        response = order.get(user.orders() + "?page=1&size=2", user.token)
        assert [entry["orderId"] for entry in ok(response)] == ids[2:]
        assert response.headers["X-Total-Count"] == "3"
        assert ok(order.get(user.orders() + "?page=7", user.token)) == []

    @pytest.mark.parametrize("query, field", [
        ("page=-1", "page"), ("page=x", "page"), ("size=0", "size"), ("size=101", "size")])
    def test_bad_page(self, order, user, query, field):
        assert_problem(order.get(f"{user.orders()}?{query}", user.token), 400, "bad_field", field)

    def test_others_order_is_not_found(self, order, user, other_user):
        order_id = place(order, user, (1, 1))
        path = other_user.orders(order_id)
        assert_problem(order.get(path, other_user.token), 404, "not_found")
        item = {"productId": 1, "quantity": 1}
        for what in ("add-items", "remove-items", "confirm", "reject"):
            response = order.post(f"{path}/{what}", other_user.token, json=item)
            assert_problem(response, 404, "not_found")
        assert get(order, user, order_id)["status"] == "NEW"
        assert len(order.emitted(aggregate_id=order_id)) == 1

    def test_others_path_is_forbidden(self, order, user, other_user, issuer):
        assert_problem(order.get(user.orders(), other_user.token), 403, "forbidden")
        assert_problem(order.get(user.orders(), issuer.admin(user.id)), 403, "forbidden")
        assert_problem(order.get(user.orders()), 401, "unauthorized")

    @pytest.mark.parametrize("order_id", ["0", "-1", "x", "1x", str(MAX_INT64 + 1)])
    def test_bad_id(self, order, user, order_id):
        assert_problem(order.get(user.orders(order_id), user.token), 400, "bad_path_id")

    def test_unknown_order(self, order, user):
        assert_problem(order.get(user.orders(MAX_INT64), user.token), 404, "not_found")


class TestPrice:
    @pytest.mark.parametrize("quantity", [1, 9, 10, 11, 99, 100, 101, 1000])
    def test_each_unit_costs_what_its_tier_says(self, order, user, quantity):
        order_id = place(order, user, (1, quantity))
        expected = price_of(shop.TIERS[1], quantity)
        assert Decimal(get(order, user, order_id)["total"]) == expected

    def test_more_never_costs_less(self, order):
        rows = order.query("select line_total(1, n) from generate_series(1, 300) n order by n")
        totals = [row[0] for row in rows]
        assert totals == sorted(totals)
        assert totals == [price_of(shop.TIERS[1], n) for n in range(1, 301)]

    def test_tier_that_is_never_reached_costs_nothing(self, order):
        assert order.value("select line_total(1, 1)") == 10

    def test_without_price_there_is_no_total(self, order):
        assert order.value("select line_total(5, 1)") is None

    def test_item_costs_what_it_cost_when_it_last_changed(self, order, user):
        product = 20
        order.events.deliver(shop.product_event(product), shop.price_event(product, [(1, "3")]))
        order_id = place(order, user, (product, 2), (2, 1))
        order.events.deliver(shop.price_event(product, [(1, "4")], version=2))
        ok(change(order, user, order_id, "add-items", 2, 1))
        assert get(order, user, order_id)["total"] == "6.02"
        ok(change(order, user, order_id, "add-items", product, 1))
        assert get(order, user, order_id)["total"] == "12.02"


class TestItems:
    def test_added_and_removed(self, order, user):
        order_id = place(order, user)
        steps = [("add-items", 1, 9, "90"), ("add-items", 1, 3, "118.5"),
                 ("add-items", 2, 100, "119.5"), ("remove-items", 1, 3, "91"),
                 ("remove-items", 2, 100, "90"), ("remove-items", 1, 9, "0")]
        for what, product, quantity, total in steps:
            answer = ok(change(order, user, order_id, what, product, quantity))
            event = order.emitted(aggregate_id=order_id)[-1]
            assert answer == {"eventId": event["id"]}
            assert event["type"] == {"add-items": "order.itemsadded",
                                     "remove-items": "order.itemsremoved"}[what]
            state = get(order, user, order_id)
            assert state["total"] == total
            version = event["payload"].pop("version")
            assert event["payload"] == {**state, "productId": product, "quantity": quantity}
        assert version == 1 + len(steps)
        assert state["items"] == []

    @pytest.mark.parametrize("product, quantity, status, code, field", [
        (5, 1, 404, "unknown_product", "productId"),
        (4, 1, 404, "unknown_product", "productId"),
        (3, 1, 409, "product_archived", "productId"),
        (6, 1, 409, "total_too_large", None),
        (6, 1000000, 409, "total_too_large", None),
        (1, 0, 400, "bad_field", "quantity"),
        (1, -1, 400, "bad_field", "quantity"),
        (1, MAX_INT64 + 1, 400, None, None),
        (1, "1", 400, "bad_field", "quantity"),
        (0, 1, 400, "bad_field", "productId"),
        (None, 1, 400, "bad_field", "productId"),
    ])
    def test_bad_addition_changes_nothing(self, order, user, product, quantity, status, code,
                                          field):
        order_id = place(order, user, (1, 1))
        response = change(order, user, order_id, "add-items", product, quantity)
        assert_problem(response, status, code, field)
        assert get(order, user, order_id)["total"] == "10"
        assert len(order.emitted(aggregate_id=order_id)) == 1

    def test_more_than_there_is_cannot_be_removed(self, order, user):
        order_id = place(order, user, (1, 3))
        assert_problem(change(order, user, order_id, "remove-items", 1, 4), 409,
                       "not_enough_items", "quantity")
        assert_problem(change(order, user, order_id, "remove-items", 2, 1), 404, "unknown_item",
                       "productId")
        assert get(order, user, order_id)["total"] == "30"

    def test_archived_product_can_be_removed(self, order, user):
        product = 21
        order.events.deliver(shop.product_event(product), shop.price_event(product, [(1, "3")]))
        order_id = place(order, user, (product, 3))
        order.events.deliver(shop.product_event(product, version=2, archived=True))
        assert_problem(change(order, user, order_id, "add-items", product, 1), 409,
                       "product_archived")
        ok(change(order, user, order_id, "remove-items", product, 1))
        assert get(order, user, order_id)["total"] == "6"

    def test_products_of_an_order_are_bounded(self, order, user):
        products = range(1001, 1102)
        order.events.deliver(*(shop.product_event(product) for product in products),
                             *(shop.price_event(product, [(1, "1")]) for product in products))
        order_id = place(order, user, *((product, 1) for product in products[:100]))
        assert_problem(change(order, user, order_id, "add-items", products[100], 1), 409,
                       "too_many_products")
        ok(change(order, user, order_id, "add-items", products[99], 1))
        assert get(order, user, order_id)["total"] == "101"

    def test_parallel_changes_all_count(self, order, user):
        order_id = place(order, user, (2, 100))
        with ThreadPoolExecutor(8) as pool:
            added = [pool.submit(change, order, user, order_id, "add-items", 2, 3)
                     for _ in range(20)]
            removed = [pool.submit(change, order, user, order_id, "remove-items", 2, 2)
                       for _ in range(20)]
            for future in added + removed:
                ok(future.result())
        assert get(order, user, order_id)["items"][0]["quantity"] == 120
        versions = [event["payload"]["version"] for event in order.emitted(aggregate_id=order_id)]
        assert versions == list(range(1, 42))


class TestStatus:
    def test_confirm(self, order, user):
        order_id = place(order, user, (1, 1))
        answer = ok(order.post(user.orders(order_id, "confirm"), user.token))
        event = order.emitted(aggregate_id=order_id)[-1]
        assert (event["id"], event["type"]) == (answer["eventId"], "order.confirmed")
        state = get(order, user, order_id)
        assert state["status"] == "CONFIRMED"
        assert event["payload"] == {**state, "version": 2}

    def test_empty_order_cannot_be_confirmed(self, order, user):
        order_id = place(order, user)
        assert_problem(order.post(user.orders(order_id, "confirm"), user.token), 409,
                       "order_empty")

    @pytest.mark.parametrize("before", [[], ["confirm"]])
    def test_reject(self, order, user, before):
        order_id = place(order, user, (1, 1))
        for step in before:
            ok(order.post(user.orders(order_id, step), user.token))
        answer = ok(order.post(user.orders(order_id, "reject"), user.token))
        event = order.emitted(aggregate_id=order_id)[-1]
        assert (event["id"], event["type"]) == (answer["eventId"], "order.rejected")
        assert event["payload"]["status"] == get(order, user, order_id)["status"] == "REJECTED"

    @pytest.mark.parametrize("before, impossible", [
        (["confirm"], ["confirm", "add-items", "remove-items"]),
        (["reject"], ["confirm", "reject", "add-items", "remove-items"]),
        (["confirm", "reject"], ["confirm", "reject", "add-items", "remove-items"]),
    ])
    def test_wrong_status(self, order, user, before, impossible):
        order_id = place(order, user, (1, 2))
        for step in before:
            ok(order.post(user.orders(order_id, step), user.token))
        events = order.emitted(aggregate_id=order_id)
        for what in impossible:
            response = order.post(user.orders(order_id, what), user.token,
                                  json={"productId": 1, "quantity": 1})
            assert_problem(response, 409, "order_wrong_status")
        assert order.emitted(aggregate_id=order_id) == events

    def test_only_one_of_many_confirms_wins(self, order, user):
        order_id = place(order, user, (1, 1))
        with ThreadPoolExecutor(8) as pool:
            paths = [user.orders(order_id, step) for step in ("confirm", "reject") * 8]
            done = list(pool.map(lambda path: order.post(path, user.token).status_code, paths))
        assert set(done) == {200, 409}
        types = [event["type"] for event in order.emitted(aggregate_id=order_id)]
        assert types in (["order.created", "order.confirmed", "order.rejected"],
                         ["order.created", "order.rejected"])
        assert done.count(200) == len(types) - 1

    def test_event_carries_the_trace_of_the_request(self, order, user):
        trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
        order_id = ok(order.post(user.orders(), user.token,
                                 headers={"traceparent": trace}))["orderId"]
        (event,) = order.emitted(aggregate_id=order_id)
        assert trace.split("-")[1] in event["headers"]["traceparent"]
