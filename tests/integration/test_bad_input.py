"""Bad input through the gateway: the documented status and problem, and nothing is written.

`untouched` compares the contents of all databases before and after each case."""

import http.client
import json
import os

import pytest

from lib.service import assert_problem
from lib.client import PREFIX, Person, ok, shop_at

TOO_LARGE = 2 ** 63
NO_BODY = object()
ITEM = {"productId": 1, "quantity": 1}

# who, method, path, a body that would be accepted
WRITES = {
    "register": ("nobody", "POST", "/register/init", {"username": "x", "password": "password"}),
    "register-admin": ("nobody", "POST", "/register/init-admin",
                       {"username": "x", "password": "password"}),
    "login": ("nobody", "POST", "/login", {"username": "x", "password": "password"}),
    "change-password": ("user", "POST", "/change-password",
                        {"oldPassword": "password", "newPassword": "password"}),
    "profile": ("user", "POST", "/me/profile",
                {"firstName": "A", "lastName": "B", "email": "", "phone": ""}),
    "add-money": ("user", "POST", "/me/add-money", {"money": "1"}),
    "order": ("user", "POST", "/me/orders", {"items": [ITEM]}),
    "add-items": ("user", "POST", "/me/orders/{order}/add-items", ITEM),
    "remove-items": ("user", "POST", "/me/orders/{order}/remove-items", ITEM),
    "find-products": ("nobody", "POST", "/products/find-by-filter", {"nameInfix": "a"}),
    "new-product": ("admin", "POST", "/admin/products", {"name": "A", "description": "B"}),
    "change-product": ("admin", "PUT", "/admin/products/1", {"name": "A", "description": "B"}),
    "prices": ("admin", "PUT", "/admin/prices/1", {"prices": [{"quantity": 1, "value": "1"}]}),
    "find-orders": ("admin", "POST", "/admin/orders", {"userId": [1]}),
}
BODY_IS_OPTIONAL = {"order", "find-products", "find-orders"}

BROKEN = {
    "not JSON": b"{",
    "cut off": b'{"username": "a',
    "two values": b"{} {}",
    "trailing comma": b'{"a": 1,}',
    "single quotes": b"{'a': 1}",
    "not UTF-8": b'{"a": "\xff\xfe"}',
    "NUL escape": b'{"username": "a\\u0000b", "password": "password", "firstName": "a\\u0000b",'
                  b' "name": "a\\u0000b", "nameInfix": "a\\u0000b", "money": "\\u0000",'
                  b' "oldPassword": "password\\u0000", "newPassword": "password\\u0000",'
                  b' "productId": "\\u0000", "prices": "\\u0000", "items": "\\u0000",'
                  b' "userId": "\\u0000"}',
    "lone surrogate": b'{"name": "\\ud800"}',
    "null": b"null",
    "array": b"[]",
    "string": b'"text"',
    "number": b"1",
    "twice the same name": b'{"username": "a", "username": "b"}',
    "too deep": b'{"a":' * 100 + b"1" + b"}" * 100,
    "very deep": b"[" * 100_000,
    "huge exponent": b'{"a": 1e999999}',
    "not a number": b'{"money": NaN}',
}

# route: (members that replace those of the accepted body, None leaves one out; field to be named)
FIELDS = {
    "register": [
        ({"username": NO_BODY}, "username"), ({"password": NO_BODY}, "password"),
        ({"username": None}, "username"), ({"username": 5}, "username"),
        ({"username": ""}, "username"), ({"username": "x" * 101}, "username"),
        ({"username": ["x"]}, "username"), ({"password": "short"}, "password"),
        ({"password": "x" * 257}, "password"), ({"password": 12345678}, "password"),
        ({"password": True}, "password"), ({"username": "a\tb"}, "username"),
    ],
    "register-admin": [({"username": {}}, "username"), ({"password": "1234567"}, "password")],
    "login": [({"username": NO_BODY}, "username"), ({"password": NO_BODY}, "password"),
              ({"username": 1.5}, "username"), ({"password": []}, "password")],
    "change-password": [
        ({"oldPassword": NO_BODY}, "oldPassword"), ({"newPassword": NO_BODY}, "newPassword"),
        ({"newPassword": "1234567"}, "newPassword"), ({"newPassword": "x" * 257}, "newPassword"),
        ({"oldPassword": 1}, "oldPassword"), ({"newPassword": False}, "newPassword"),
    ],
    "profile": [
        ({"firstName": 1}, "firstName"), ({"lastName": []}, "lastName"),
        ({"firstName": "x" * 101}, "firstName"), ({"email": "no at sign"}, "email"),
        ({"email": "x" * 250 + "@a.org"}, "email"), ({"phone": "call me"}, "phone"),
        ({"phone": 4930}, "phone"), ({"firstName": "a\nb"}, "firstName"),
    ],
    "add-money": [
        ({"money": value}, "money")
        for value in (NO_BODY, None, "", "0", 0, "-1", -1, "-0.01", "0.001", 0.001, "1.005", "1e3",
                      "0x10", "1,5", " 1", "1 ", "+1", "NaN", "Infinity", "1000000000000",
                      "9" * 40, 10 ** 30, TOO_LARGE, 1e300, True, [1], {"amount": 1}, "١")
    ],
    "order": [
        ({"items": "x"}, "items"), ({"items": {}}, "items"), ({"items": [1]}, "items[0]"),
        ({"items": [ITEM] * 1001}, "items"),
        ({"items": [ITEM, {"productId": 1}]}, "items[1].quantity"),
        ({"items": [{**ITEM, "quantity": 0}]}, "items[0].quantity"),
        ({"items": [{**ITEM, "quantity": TOO_LARGE}]}, "items[0].quantity"),
        ({"items": [{**ITEM, "productId": "1"}]}, "items[0].productId"),
    ],
    **{route: [
        ({"quantity": NO_BODY}, "quantity"), ({"productId": NO_BODY}, "productId"),
        *(({"quantity": value}, "quantity")
          for value in (0, -1, 1000001, TOO_LARGE, -TOO_LARGE - 1, 10 ** 40, 1.5, 1.0, "1", None,
                        True, [1])),
        *(({"productId": value}, "productId")
          for value in (0, -1, TOO_LARGE, 1.5, "1", None, False, [])),
    ] for route in ("add-items", "remove-items")},
    "find-products": [
        ({"nameInfix": 1}, "nameInfix"), ({"descriptionInfix": []}, "descriptionInfix"),
        ({"productId": 1}, "productId"), ({"productId": ["1"]}, "productId"),
        ({"productId": [0]}, "productId"), ({"productId": [TOO_LARGE]}, "productId[0]"),
        ({"paging": []}, "paging"), ({"paging": {"size": 0}}, "paging.size"),
        ({"paging": {"size": 101}}, "paging.size"), ({"paging": {"page": -1}}, "paging.page"),
        ({"paging": {"page": TOO_LARGE}}, "paging.page"), ({"nameInfix": "x" * 201}, "nameInfix"),
    ],
    "new-product": [
        ({"name": NO_BODY}, "name"), ({"description": NO_BODY}, "description"),
        ({"name": ""}, "name"), ({"name": "  "}, "name"), ({"name": "x" * 201}, "name"),
        ({"description": "x" * 4001}, "description"), ({"description": 1}, "description"),
    ],
    "change-product": [({"name": 1}, "name"), ({"description": NO_BODY}, "description")],
    "prices": [
        ({"prices": value}, field)
        for value, field in (
            (NO_BODY, "prices"), ([], "prices"), ({}, "prices"), ([1], "prices[0]"),
            ([{"quantity": 2, "value": "1"}], "prices[0].quantity"),
            ([{"quantity": 1}], "prices[0].value"),
            ([{"quantity": 1, "value": "-1"}], "prices[0].value"),
            ([{"quantity": 1, "value": "1.999"}], "prices[0].value"),
            ([{"quantity": 1, "value": "x"}], "prices[0].value"),
            ([{"quantity": 1, "value": "1"}] * 2, "prices[1].quantity"),
            ([{"quantity": 1, "value": "1"}, {"quantity": 0, "value": "1"}],
             "prices[1].quantity"),
            ([{"quantity": number, "value": "1"} for number in range(1, 102)], "prices"),
        )
    ],
    "find-orders": [
        ({"userId": "x"}, "userId"), ({"userId": [0]}, "userId"), ({"status": "NEW"}, "status"),
        ({"status": ["LOST"]}, "status[0]"), ({"status": [1]}, "status[0]"),
        ({"totalFrom": "-1"}, "totalFrom"), ({"totalTo": "0.001"}, "totalTo"),
        ({"sort": ["id", "password"]}, "sort[1]"),
        ({"sort": ["id;drop table orders"]}, "sort[0]"),
        ({"paging": {"size": 1000}}, "paging.size"), ({"paging": {"page": -1}}, "paging.page"),
    ],
}

QUERIES = {
    ("admin", "/admin/orders?id=x"): "id",
    ("admin", "/admin/orders?id=0"): "id",
    ("admin", f"/admin/orders?userId={TOO_LARGE}"): "userId",
    ("admin", "/admin/orders?status=new"): "status",
    ("admin", "/admin/orders?totalFrom=x"): "totalFrom",
    ("admin", "/admin/orders?totalTo=1.999"): "totalTo",
    ("admin", "/admin/orders?sort=id,SIDEWAYS"): "sort",
    ("admin", "/admin/orders?sort=id%27%3B--"): "sort",
    ("admin", "/admin/orders?paging.size=0"): "paging.size",
    ("admin", "/admin/orders?paging.size=101"): "paging.size",
    ("admin", "/admin/orders?paging.page=-1"): "paging.page",
    ("user", "/me/orders?page=x"): "page",
    ("user", "/me/orders?size=0"): "size",
    ("user", f"/me/bills?page={TOO_LARGE}"): "page",
    ("user", "/me/notifications?size=101"): "size",
    ("nobody", "/prices"): "productIds",
    ("nobody", "/prices?productIds="): "productIds",
    ("nobody", "/prices?productIds=1,x"): "productIds",
    ("nobody", "/prices?productIds=1,,2"): "productIds",
    ("nobody", "/prices?productIds=-1"): "productIds",
}

ID_ROUTES = [
    ("nobody", "GET", "/products/{}"),
    ("user", "GET", "/me/orders/{}"),
    ("user", "GET", "/me/bills/{}"),
    ("user", "POST", "/me/orders/{}/confirm"),
    ("user", "POST", "/me/orders/{}/reject"),
    ("user", "POST", "/me/bills/{}/confirm"),
    ("admin", "POST", "/admin/products/{}/archive"),
]


@pytest.fixture(scope="module", autouse=True)
def nothing_crashes(stack):
    """After all these tests the programs are the same as before."""
    before = stack.pids()
    yield
    assert stack.pids() == before
    for part, pid in before.items():
        assert os.path.exists(f"/proc/{pid}"), part


@pytest.fixture(scope="module")
def shop(stack):
    with shop_at(stack.url, "127.0.1.4") as client:
        yield client


@pytest.fixture(scope="module")
def people(shop):
    user, other, admin = shop.user(money="1000"), shop.user(), shop.admin()
    user.order_id = user.order((1, 1))
    other.order_id = other.order((1, 1))
    user.bill_id = user.bill(user.order_id)["billId"]
    other.bill_id = other.bill(other.order_id)["billId"]
    return {"nobody": Person(shop, None, None), "user": user, "admin": admin, "other": other}


@pytest.fixture
def untouched(stack, people):
    """Fails when the test changes anything in any database."""
    del people
    stack.wait_delivered()
    before = stack.contents()
    yield
    assert stack.contents() == before


def send(people, route, body):
    who, method, path, _ = WRITES[route]
    path = path.format(order=people["user"].order_id)
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return people[who].shop.request(method, path, people[who].token, data=data,
                                    headers={"Content-Type": "application/json"})


def cases(table):
    return [pytest.param(route, *case, id=f"{route}-{number}")
            for route, rows in table.items() for number, case in enumerate(rows)]


@pytest.mark.parametrize("route", WRITES)
def test_body_that_is_no_object(people, untouched, route):
    for name, body in BROKEN.items():
        response = send(people, route, body)
        assert response.status_code == 400, f"{name}: {response.status_code} {response.text}"
        assert_problem(response, 400)


@pytest.mark.parametrize("route", sorted(WRITES.keys() - BODY_IS_OPTIONAL))
def test_empty_body(people, untouched, route):
    assert_problem(send(people, route, b""), 400, "bad_json")
    assert_problem(send(people, route, b"{}"), 400, "bad_field")


@pytest.mark.parametrize("route", WRITES)
def test_body_of_10_mb(people, untouched, route):
    _, _, _, accepted = WRITES[route]
    padded = json.dumps(accepted).encode() + b" " * 10_000_000
    assert_problem(send(people, route, padded), 413, "payload_too_large")


def test_endless_chunked_body(people, untouched):
    """Without a Content-Length the limit counts as well."""
    user = people["user"]
    chunks = (b" " * 65536 for _ in range(160))
    response = user.post("/me/add-money", data=chunks)
    assert_problem(response, 413, "payload_too_large")


@pytest.mark.parametrize("route, changes, field", cases(FIELDS))
def test_field(people, untouched, route, changes, field):
    body = {**WRITES[route][3], **changes}
    body = {name: value for name, value in body.items() if value is not NO_BODY}
    problem = assert_problem(send(people, route, body), 400, "bad_field")
    assert problem["field"] == field, problem
    assert field in problem["detail"]


@pytest.mark.parametrize("who, path", QUERIES)
def test_query(people, untouched, who, path):
    problem = assert_problem(people[who].get(path), 400, "bad_field")
    assert problem["field"] == QUERIES[who, path], problem


@pytest.mark.parametrize("who, method, path", ID_ROUTES)
def test_path_id(people, untouched, who, method, path):
    person = people[who]
    for bad in ("0", "-1", "x", "1.5", "1x", "9223372036854775808", "9" * 60, "+1", "%201"):
        response = person.shop.request(method, path.format(bad), person.token)
        assert response.status_code == 400, f"{bad}: {response.status_code} {response.text}"
        assert_problem(response, 400, "bad_path_id")
    assert_problem(person.shop.request(method, path.format("9223372036854775807"), person.token),
                   404, "not_found")


@pytest.mark.parametrize("key", ["x" * 256, "a b", "schl\u00fcssel", "a\tb"])
def test_idempotency_key(people, untouched, key):
    response = people["user"].post("/me/add-money", json={"money": "1"},
                                   headers={"Idempotency-Key": key.encode()})
    assert_problem(response, 400, "bad_idempotency_key")


def test_items_of_orders_that_are_not_there(people, untouched):
    user = people["user"]
    for path in ("add-items", "remove-items"):
        assert_problem(user.post(f"/me/orders/987654321/{path}", json=ITEM), 404, "not_found")
        assert_problem(user.post(f"/me/orders/x/{path}", json=ITEM), 400, "bad_path_id")


def test_what_belongs_to_another_user(people, untouched):
    """Nobody can tell another's order or bill from one that does not exist."""
    user, other = people["user"], people["other"]
    order, bill = f"/me/orders/{other.order_id}", f"/me/bills/{other.bill_id}"
    for response in (user.get(order), user.get(bill), user.post(order + "/confirm"),
                     user.post(order + "/reject"), user.post(order + "/add-items", json=ITEM),
                     user.post(order + "/remove-items", json=ITEM), user.post(bill + "/confirm")):
        assert_problem(response, 404, "not_found")
    assert other.order_id not in [order["orderId"] for order in ok(user.get("/me/orders?size=100"))]
    assert other.bill_id not in [bill["billId"] for bill in ok(user.get("/me/bills?size=100"))]


def test_items_that_can_not_be(people, untouched):
    user = people["user"]
    path = f"/me/orders/{user.order_id}"
    unknown = {"productId": 987654321, "quantity": 1}
    assert_problem(user.post(path + "/add-items", json=unknown), 404, "unknown_product")
    assert_problem(user.post("/me/orders", json={"items": [ITEM, unknown]}), 404, "unknown_product")
    assert_problem(user.post(path + "/remove-items", json={"productId": 2, "quantity": 1}),
                   404, "unknown_item")
    assert_problem(user.post(path + "/remove-items", json={"productId": 1, "quantity": 2}),
                   409, "not_enough_items")


def test_product_that_is_not_there(people, untouched):
    admin = people["admin"]
    text = {"name": "A", "description": "B"}
    assert_problem(admin.put("/admin/products/987654321", json=text), 404, "not_found")
    assert_problem(admin.post("/admin/products/987654321/archive"), 404, "not_found")
    prices = {"prices": [{"quantity": 1, "value": "1"}]}
    assert_problem(admin.put("/admin/prices/987654321", json=prices), 404, "unknown_product")


@pytest.mark.parametrize("prefix", ["", PREFIX], ids=["root", "prefix"])
def test_unknown_paths(people, untouched, prefix):
    """Among them those of the services that are none of a client's business."""
    for person in (people["nobody"], people["user"], people["admin"]):
        for path in ("/", "/nothing", "/me", "/me/", "/me/order", "/admin", "/products", "/verify",
                     "/internal/events", "/metrics", "/livez", "/users/1/orders",
                     "/manage/products",
                     "/profiles/by-user-id/1", "/accounts/by-user-id/1/bills", "/orders",
                     "/orders/find-by-filter", "/me/orders/1/pay", "/loginx", "/nginx_status"):
            for method in ("GET", "POST"):
                response = person.shop.request(method, prefix + path, person.token)
                assert response.status_code in (404, 405), f"{path}: {response.status_code}"
                assert_problem(response, response.status_code)


def test_wrong_method(people, untouched):
    for who, method, path, allowed in (
            ("nobody", "GET", "/login", {"POST"}), ("nobody", "DELETE", "/register/init", {"POST"}),
            ("nobody", "PUT", "/products/find-by-filter", {"POST"}),
            ("user", "DELETE", "/me/orders", {"GET", "POST"}),
            ("user", "PUT", "/me/profile", {"GET", "POST"}),
            ("user", "GET", "/me/add-money", {"POST"}), ("user", "POST", "/me/bills", {"GET"}),
            ("nobody", "POST", "/prices", {"GET"}),
            ("admin", "DELETE", "/admin/orders", {"GET", "POST"}),
            ("admin", "GET", "/admin/products", {"POST"}),
            ("user", "PATCH", "/refresh-token", {"GET"})):
        person = people[who]
        response = person.shop.request(method, path, person.token)
        assert_problem(response, 405, "method_not_allowed")
        allow = {name.strip() for name in response.headers["Allow"].split(",")}
        assert allow - {"HEAD", "OPTIONS"} == allowed, f"{method} {path}: {allow}"


RAW_PATHS = [
    "/me/../admin/orders", "/products/../internal/events", "/me/orders/..%2f..%2finternal/events",
    "/products/%2e%2e/verify", "/products/%2E%2E/%2E%2E/etc/passwd", "/products/1%2f..%2f2",
    "/products%2f1", "/..", "/%2e%2e/%2e%2e/", "/products/..", "/products/1/..", "/products/./1",
    "/products/1%5c..%5c2", "/products/%252e%252e/1", "//products/1/..//..", "/products/1%00",
    PREFIX + "/../internal/events", PREFIX + "/%2e%2e/%2e%2e/internal/events",
]


@pytest.mark.parametrize("path", RAW_PATHS)
def test_paths_that_climb(stack, people, untouched, path):
    """Sent as they are: `..`, encoded slashes and the like never reach a service."""
    connection = http.client.HTTPConnection(*stack.address, timeout=30)
    for method in ("GET", "POST"):
        connection.putrequest(method, path, skip_accept_encoding=True)
        connection.putheader("Authorization", f"Bearer {people['user'].token}")
        connection.putheader("Content-Length", "0")
        connection.endheaders()
        response = connection.getresponse()
        body = response.read()
        assert response.status in (400, 404), f"{response.status} {body}"
        assert response.getheader("Content-Type").startswith("application/problem+json")
        assert json.loads(body)["status"] == response.status
        if response.getheader("Connection") == "close":
            connection.close()
    connection.close()


@pytest.mark.parametrize("request_bytes", [
    b"GET / HTTP/1.1\r\n\r\n",
    b"GARBAGE\r\n\r\n",
    b"GET /products/1 HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    b"GET /products/1 HTTP/1.1\r\nHost: a\r\nX-Long: " + b"x" * 70_000 + b"\r\n\r\n",
    b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST /login HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
    b"POST /login HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    b"POST /login HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n"
    b"0\r\n\r\n",
    b"POST /login HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
], ids=["no host", "garbage", "two hosts", "long header", "long path", "negative length",
        "two lengths", "length and chunked", "broken chunk"])
def test_broken_http(stack, people, untouched, request_bytes):
    """The gateway answers a 4xx problem and closes, or just closes; it never passes it on."""
    with stack.connect() as client:
        client.sendall(request_bytes)
        answer = b""
        while chunk := client.recv(65536):
            answer += chunk
    assert answer == b"" or answer.startswith(b"HTTP/1.1 4"), answer[:200]


def test_everything_still_works(people):
    user = people["user"]
    ok(user.post(f"/me/bills/{user.bill_id}/confirm"))
    user.wait_order(user.order_id, "COMPLETED")
