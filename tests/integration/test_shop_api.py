"""Every row of the REST table, through the gateway and all services, at / and under the prefix."""

import base64
import json
import re
import uuid
from decimal import Decimal

import pytest

from lib.service import assert_problem
from lib.client import PREFIX, ok, shop_at, until_answer

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@pytest.fixture(scope="module", params=["", PREFIX], ids=["root", "prefix"])
def shop(request, stack):
    address = "127.0.1.1" if request.param else "127.0.1.2"
    with shop_at(stack.url + request.param, address) as client:
        yield client


@pytest.fixture(scope="module")
def admin(shop):
    return shop.admin()


def event_id(response):
    """The id of the event that the change was told by."""
    body = ok(response)
    assert UUID.fullmatch(body["eventId"]), body
    return body["eventId"]


def claims(token):
    payload = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))


def unit_price(shop, product_id):
    """Price of one piece."""
    return Decimal(ok(shop.request("GET", f"/products/{product_id}"))["prices"][0]["value"])


def money(amount):
    """Money as the shop writes it."""
    text = f"{amount:.2f}"
    return text.rstrip("0").rstrip(".")


# POST /register/init, /login, GET /refresh-token, POST /change-password


def test_registering_and_logging_in(shop):
    user = shop.user()
    assert isinstance(user.id, int) and user.id > 0
    assert_problem(shop.request("POST", "/register/init", json=user.credentials()),
                   409, "username_taken")
    answer = ok(shop.request("POST", "/login", json=user.credentials()))
    assert answer["code"] == 200 and answer["expire"]
    told = claims(answer["token"])
    expected = {"auth_id": user.id, "auth_username": user.name, "auth_role": "USER",
                "sub": str(user.id), "iss": "http://arch.homework", "aud": "http://arch.homework"}
    assert expected.items() <= told.items()
    assert told["iat"] < told["exp"]
    for wrong in ({"password": "not the password"}, {"username": f"nobody-{uuid.uuid4()}"}):
        assert_problem(shop.request("POST", "/login", json={**user.credentials(), **wrong}),
                       401, "wrong_credentials")


def test_refreshing_a_token(shop, admin):
    for person, role in ((shop.user(), "USER"), (admin, "ADMIN")):
        answer = ok(person.get("/refresh-token"))
        assert answer["code"] == 200 and answer["expire"]
        assert claims(answer["token"])["auth_role"] == role
        ok(shop.request("GET", "/refresh-token", answer["token"]))


def test_changing_the_password(shop):
    user = shop.user()
    change = {"oldPassword": user.password, "newPassword": "another horse battery"}
    assert_problem(user.post("/change-password", json={**change, "oldPassword": "wrong one"}),
                   403, "wrong_password")
    assert ok(user.post("/change-password", json=change)) == {}
    assert_problem(shop.request("POST", "/login", json=user.credentials()),
                   401, "wrong_credentials")
    user.password = change["newPassword"]
    user.log_in()


# GET, POST /me/profile and POST /me/add-money


def whole_profile(user):
    """The profile, once all parts know the user."""
    return ok(until_answer(lambda: user.get("/me/profile"),
                           lambda answer: answer.headers.get("X-Completed") == "true",
                           "the whole profile"))


def test_the_profile_is_merged(shop):
    user = shop.user()
    profile = whole_profile(user)
    assert set(profile) == {"profileId", "firstName", "lastName", "email", "phone", "accountId",
                            "money", "id", "username"}
    expected = {"id": user.id, "username": user.name, "money": "0", "firstName": "", "lastName": "",
                "email": "", "phone": ""}
    assert expected.items() <= profile.items()
    contact = {"firstName": "Zoë", "lastName": "O'Hara", "email": "zoe@example.org",
               "phone": "+49 30 1234567"}
    event_id(user.post("/me/profile", json=contact))
    assert contact.items() <= ok(user.get("/me/profile")).items()


def test_adding_money(shop):
    user = shop.user()
    for amount, balance in (("0.10", "0.1"), (99.9, "100"), (5, "105"), ("1000.05", "1105.05")):
        response = user.post("/me/add-money", json={"money": amount})
        event_id(response)
        assert response.json()["money"] == balance
    assert user.money() == "1105.05"


# Orders and bills


def test_an_order_from_first_item_to_last_message(shop):
    user = shop.user(money="1000")
    one, other = unit_price(shop, 1), unit_price(shop, 2)
    made = user.post("/me/orders")
    event_id(made)
    order = made.json()["orderId"]
    path = f"/me/orders/{order}"

    assert_problem(user.post(path + "/confirm"), 409, "order_empty")
    event_id(user.post(path + "/add-items", json={"productId": 1, "quantity": 2}))
    event_id(user.post(path + "/add-items", json={"productId": 2, "quantity": 1}))
    event_id(user.post(path + "/remove-items", json={"productId": 1, "quantity": 1}))
    assert_problem(user.post(path + "/add-items", json={"productId": 987654321, "quantity": 1}),
                   404, "unknown_product")
    total = money(one + other)
    items = [{"productId": 1, "quantity": 1, "total": money(one)},
             {"productId": 2, "quantity": 1, "total": money(other)}]
    order_row = {"orderId": order, "userId": user.id, "status": "NEW", "total": total}
    assert (order_row | {"items": items}).items() <= user.order_state(order).items()
    assert order_row.items() <= ok(user.get("/me/orders"))[0].items()

    bill = user.bill(order, total=total)
    assert set(bill) == {"billId", "accountId", "orderId", "status", "total"}
    assert ok(user.get(f"/me/bills/{bill['billId']}")) == bill

    event_id(user.post(path + "/confirm"))
    assert_problem(user.post(path + "/confirm"), 409, "order_wrong_status")
    assert_problem(user.post(path + "/add-items", json={"productId": 1, "quantity": 1}),
                   409, "order_wrong_status")
    assert_problem(user.post(path + "/remove-items", json={"productId": 1, "quantity": 1}),
                   409, "order_wrong_status")
    event_id(user.post(f"/me/bills/{bill['billId']}/confirm"))
    user.wait_order(order, "COMPLETED")
    assert user.bill(order, "COMPLETED")["total"] == total
    assert user.money() == money(Decimal(1000) - one - other)
    assert_problem(user.post(f"/me/bills/{bill['billId']}/confirm"), 409, "bill_wrong_status")
    assert_problem(user.post(path + "/reject"), 409, "order_wrong_status")

    messages = user.messages(2)
    assert [message["eventType"] for message in messages] == ["order.confirmed", "order.completed"]
    for message in messages:
        assert set(message) == {"id", "userId", "orderId", "eventId", "eventType", "eventData"}
        assert (message["userId"], message["orderId"]) == (user.id, order)
        assert message["eventData"]["total"] == total
        assert message["eventData"]["items"] == items


def test_paying_a_new_order_completes_it(shop):
    user = shop.user(money="1000")
    order = user.order((1, 1), (3, 2))
    user.pay(order)
    user.wait_order(order, "COMPLETED")
    assert [message["eventType"] for message in user.messages(2)] == \
        ["order.confirmed", "order.completed"]


def test_rejecting_an_order(shop):
    user = shop.user(money="1000")
    order = user.order((1, 1))
    user.bill(order)
    event_id(user.post(f"/me/orders/{order}/reject"))
    assert user.order_state(order)["status"] == "REJECTED"
    assert_problem(user.post(f"/me/orders/{order}/reject"), 409, "order_wrong_status")
    bill = user.bill(order, "REJECTED")
    assert_problem(user.post(f"/me/bills/{bill['billId']}/confirm"), 409, "bill_wrong_status")
    assert [message["eventType"] for message in user.messages(1)] == ["order.rejected"]
    assert user.money() == "1000"


def test_paying_without_enough_money(shop):
    user = shop.user(money="0.01")
    order = user.order((1, 1))
    bill = user.bill(order)
    assert_problem(user.post(f"/me/bills/{bill['billId']}/confirm"), 409, "not_enough_money")
    assert user.bill(order) == bill
    assert user.money() == "0.01"


def test_lists_come_in_pages(shop):
    user = shop.user()
    orders = [user.order() for _ in range(3)]
    pages = [ok(user.get(f"/me/orders?page={page}&size=2")) for page in range(3)]
    assert [len(page) for page in pages] == [2, 1, 0]
    assert sorted(order["orderId"] for page in pages for order in page) == orders
    for order in orders:
        user.bill(order)
    assert len(ok(user.get("/me/bills?size=2"))) == 2
    assert ok(user.get("/me/notifications")) == []


# Products and prices


def new_product(admin, name=None, prices=None):
    """A product that every part knows, with prices."""
    response = admin.post("/admin/products", json={"name": name or f"Lamp {uuid.uuid4()}",
                                                   "description": "Gives light"})
    event_id(response)
    product = response.json()["productId"]
    tiers = prices or [{"quantity": 1, "value": "10"}]
    event_id(until_answer(lambda: admin.put(f"/admin/prices/{product}", json={"prices": tiers}),
                          lambda answer: answer.status_code != 404, "the price service to know it"))
    return product


def test_products_and_prices(shop, admin):
    name = f"Lamp 100%_{uuid.uuid4()}"
    tiers = [{"quantity": 1, "value": "10"}, {"quantity": 10, "value": "9.5"},
             {"quantity": 100, "value": "7.25"}]
    product = new_product(admin, name, tiers)

    def plain(prices):
        return [{"quantity": price["quantity"], "value": price["value"]} for price in prices]

    response = shop.request("GET", f"/products/{product}")
    assert response.headers["X-Completed"] == "true"
    body = ok(response)
    expected = {"productId": product, "name": name, "description": "Gives light"}
    assert expected.items() <= body.items()
    assert plain(body["prices"]) == tiers

    prices = ok(shop.request("GET", f"/prices?productIds=1,{product}"))
    assert {price["productId"] for price in prices} == {1, product}
    assert plain(price for price in prices if price["productId"] == product) == tiers
    for price in prices:
        assert set(price) == {"priceId", "productId", "quantity", "value", "fromDate", "toDate"}

    found = ok(shop.request("POST", "/products/find-by-filter",
                            json={"nameInfix": name[:9].upper(), "productId": [1, product],
                                  "paging": {"page": 0, "size": 10}}))
    assert found["page"] == {"pageNumber": 0, "pageSize": 10, "count": 1}
    assert [item["productId"] for item in found["items"]] == [product]
    assert plain(found["items"][0]["prices"]) == tiers
    assert ok(shop.request("POST", "/products/find-by-filter", json={}))["page"]["count"] >= 20

    event_id(admin.put(f"/admin/products/{product}",
                       json={"name": name, "description": "Brighter"}))
    assert ok(shop.request("GET", f"/products/{product}"))["description"] == "Brighter"


def test_graduated_prices_and_archived_products(shop, admin):
    product = new_product(admin, prices=[{"quantity": 1, "value": "10"},
                                         {"quantity": 10, "value": "9.5"}])
    user = shop.user()
    order = user.order()
    add = {"productId": product, "quantity": 12}
    ok(until_answer(lambda: user.post(f"/me/orders/{order}/add-items", json=add),
                    lambda answer: answer.status_code != 404, "the order service to know it"))
    assert user.order_state(order)["total"] == "118.5"

    event_id(admin.post(f"/admin/products/{product}/archive"))
    refused = until_answer(lambda: user.post(f"/me/orders/{order}/add-items", json=add),
                           lambda answer: answer.status_code != 200, "the order service to hear")
    assert_problem(refused, 409, "product_archived")
    assert_problem(admin.put(f"/admin/products/{product}",
                             json={"name": "Other", "description": ""}), 409, "product_archived")
    assert_problem(admin.post(f"/admin/products/{product}/archive"), 409, "product_archived")
    assert_problem(shop.request("GET", "/products/987654321"), 404, "not_found")


# Orders of all users


def test_searching_all_orders(shop, admin):
    user, other = shop.user(), shop.user()
    cheap, dear, rejected = user.order((8, 1)), user.order((8, 5)), user.order()
    others = other.order((8, 1))
    ok(user.post(f"/me/orders/{rejected}/reject"))
    users = f"userId={user.id}&userId={other.id}"

    def ids(query):
        response = admin.get(f"/admin/orders?{query}")
        return [order["orderId"] for order in ok(response)], response.headers["X-Total-Count"]

    assert ids(f"{users}&sort=userId,DESC&sort=id,ASC") == ([others, cheap, dear, rejected], "4")
    assert ids(f"userId={user.id}&sort=total,DESC") == ([dear, cheap, rejected], "3")
    assert ids(f"{users}&status=REJECTED") == ([rejected], "1")
    assert ids(f"{users}&totalFrom=0.01&totalTo=10&sort=id,ASC") == ([cheap, others], "2")
    assert ids(f"id={cheap}&id={dear}&sort=id,ASC") == ([cheap, dear], "2")
    assert ids(f"{users}&sort=id,ASC&paging.page=1&paging.size=3") == ([others], "4")
    row = ok(admin.get(f"/admin/orders?id={cheap}"))[0]
    assert {"orderId": cheap, "userId": user.id, "status": "NEW"}.items() <= row.items()

    found = ok(admin.post("/admin/orders",
                          json={"userId": [user.id], "status": ["NEW"], "totalFrom": "0.01",
                                "sort": ["total,DESC"], "paging": {"page": 0, "size": 1}}))
    assert found["page"] == {"pageNumber": 0, "pageSize": 1, "count": 2}
    assert [order["orderId"] for order in found["items"]] == [dear]
