"""The admins' view of orders: filter, sort and pages, as query parameters and as JSON."""

from decimal import Decimal

import pytest
from lib import shop
from lib.service import assert_problem
from lib.shop import ok, place


@pytest.fixture(scope="module", name="order")
def _order(start_service):
    service = start_service("order")
    shop.stock(service)
    return service


@pytest.fixture(scope="module", name="admin")
def _admin(issuer):
    return issuer.admin()


@pytest.fixture(scope="module", name="orders")
def _orders(order, issuer):
    """Orders of three users in every status a user can bring about; as the API should show them."""
    made = []
    users = [shop.new_user(issuer) for _ in range(3)]
    for number in range(24):
        user = users[number % 3]
        order_id = place(order, user, (2, 5 * (number % 7) + 1))
        steps = [[], ["confirm"], ["reject"], ["confirm", "reject"]][number % 4]
        for what in steps:
            ok(order.post(user.orders(order_id, what), user.token))
        made.append({key: value for key, value
                     in ok(order.get(user.orders(order_id), user.token)).items()
                     if key != "items"})
    return made


def page_of(order, admin, query):
    return ok(order.get("/orders?" + query, admin))


def find(order, admin, **body):
    return ok(order.post("/orders/find-by-filter", admin, json=body))


def total(entry):
    return Decimal(entry["total"])


def test_all_orders_by_default(order, admin, orders):
    response = order.get("/orders", admin)
    assert ok(response) == orders[:20]
    assert response.headers["X-Total-Count"] == str(len(orders))
    assert find(order, admin) == {
        "page": {"pageNumber": 0, "pageSize": 20, "count": len(orders)}, "items": orders[:20]}
    assert ok(order.post("/orders/find-by-filter", admin))["items"] == orders[:20]


FILTERS = [
    ({"status": ["NEW"]}, lambda e, _: e["status"] == "NEW"),
    ({"status": ["NEW", "REJECTED"]}, lambda e, _: e["status"] in ("NEW", "REJECTED")),
    ({"status": ["COMPLETED"]}, lambda e, _: False),
    ({"userId": [0]}, lambda e, o: e["userId"] == o[0]["userId"]),
    ({"userId": [0, 1]}, lambda e, o: e["userId"] in (o[0]["userId"], o[1]["userId"])),
    ({"id": [3, 5]}, lambda e, o: e["orderId"] in (o[3]["orderId"], o[5]["orderId"])),
    ({"totalFrom": "0.11"}, lambda e, _: total(e) >= Decimal("0.11")),
    ({"totalTo": "0.11"}, lambda e, _: total(e) <= Decimal("0.11")),
    ({"totalFrom": "0.06", "totalTo": "0.21", "status": ["NEW", "CONFIRMED"], "userId": [2]},
     lambda e, o: Decimal("0.06") <= total(e) <= Decimal("0.21")
     and e["status"] in ("NEW", "CONFIRMED") and e["userId"] == o[2]["userId"]),
    ({"totalFrom": "1", "totalTo": "0"}, lambda e, _: False),
]


@pytest.mark.parametrize("criteria, wanted", FILTERS)
def test_filter(order, admin, orders, criteria, wanted):
    """Ids in FILTERS are places in `orders`."""
    names = {"id": "orderId", "userId": "userId"}
    criteria = {key: [orders[place_][names[key]] for place_ in value] if key in names else value
                for key, value in criteria.items()}
    expected = [entry for entry in orders if wanted(entry, orders)]
    query = "&".join(f"{key}={part}" for key, value in criteria.items()
                     for part in (value if isinstance(value, list) else [value]))
    response = order.get(f"/orders?paging.size=100&{query}", admin)
    assert ok(response) == expected
    assert response.headers["X-Total-Count"] == str(len(expected))
    found = find(order, admin, **criteria, paging={"size": 100})
    assert found["items"] == expected
    assert found["page"] == {"pageNumber": 0, "pageSize": 100, "count": len(expected)}


SORTS = {
    "id": "orderId", "orderId": "orderId", "userId": "userId", "status": "status", "total": "total",
    "createdAt": "orderId"}


@pytest.mark.parametrize("field", SORTS)
@pytest.mark.parametrize("direction", ["", ",ASC", ",DESC", ",desc"])
def test_sort_breaks_ties_by_id(order, admin, orders, field, direction):
    def key(entry):
        return total(entry) if field == "total" else entry[SORTS[field]]
    expected = sorted(orders, key=key, reverse=direction.upper() == ",DESC")
    if direction.upper() == ",DESC" and field not in ("id", "orderId", "createdAt"):
        # reverse=True keeps the order of equals, as the tie-break does
        assert expected != sorted(orders, key=key)
    assert page_of(order, admin, f"paging.size=100&sort={field}{direction}") == expected
    assert find(order, admin, sort=[field + direction], paging={"size": 100})["items"] == expected


def test_sort_by_updated_at(order, admin, orders):
    expected = [row[0] for row in order.query("select order_id from orders"
                                              " order by updated_at desc, order_id")]
    got = page_of(order, admin, "paging.size=100&sort=updatedAt,DESC")
    assert [entry["orderId"] for entry in got] == expected
    assert len(got) == len(orders)


def test_sort_by_several_fields(order, admin, orders):
    expected = sorted(orders, key=lambda e: (e["userId"], -total(e), e["orderId"]))
    query = "paging.size=100&sort=userId,ASC&sort=total,DESC"
    assert page_of(order, admin, query) == expected
    found = find(order, admin, sort=["userId", "total,DESC"], paging={"size": 100})
    assert found["items"] == expected


def test_pages_cover_all_once(order, admin, orders):
    seen = []
    for page in range(6):
        query = f"sort=status,DESC&sort=total&paging.page={page}&paging.size=5"
        part = page_of(order, admin, query)
        found = find(order, admin, sort=["status,DESC", "total"],
                     paging={"page": page, "size": 5})
        assert found == {"page": {"pageNumber": page, "pageSize": 5, "count": len(orders)},
                         "items": part}
        seen += [entry["orderId"] for entry in part]
    assert sorted(seen) == [entry["orderId"] for entry in orders]
    response = order.get("/orders?paging.page=1000", admin)
    assert ok(response) == []
    assert response.headers["X-Total-Count"] == str(len(orders))


@pytest.mark.parametrize("query, field", [
    ("sort=foo", "sort"), ("sort=userId,UP", "sort"), ("sort=", "sort"), ("sort=,DESC", "sort"),
    ("sort=total;drop table orders", "sort"), ("sort=user_id", "sort"),
    ("sort=id&sort=id&sort=id&sort=id&sort=id", "sort"),
    ("id=0", "id"), ("id=x", "id"), ("id=1,2", "id"), ("id=9223372036854775808", "id"),
    ("userId=-1", "userId"), ("&".join(["id=1"] * 101), "id"),
    ("status=new", "status"), ("status=NEW,REJECTED", "status"), ("status=", "status"),
    ("totalFrom=x", "totalFrom"), ("totalFrom=-1", "totalFrom"), ("totalTo=1.001", "totalTo"),
    ("totalTo=1000000000000", "totalTo"),
    ("paging.page=-1", "paging.page"), ("paging.size=0", "paging.size"),
    ("paging.size=101", "paging.size"), ("paging.page=1e3", "paging.page"),
])
def test_bad_query(order, admin, query, field):
    assert_problem(order.get("/orders?" + query, admin), 400, "bad_field", field)


@pytest.mark.parametrize("body, field", [
    ({"sort": ["foo"]}, "sort[0]"), ({"sort": ["id", 1]}, "sort[1]"), ({"sort": "id"}, "sort"),
    ({"sort": ["id"] * 5}, "sort"), ({"id": [0]}, "id"), ({"id": ["1"]}, "id"), ({"id": 1}, "id"),
    ({"id": [1] * 101}, "id"), ({"userId": [1.5]}, "userId"), ({"status": ["X"]}, "status[0]"),
    ({"status": [None]}, "status[0]"), ({"status": "NEW"}, "status"),
    ({"totalFrom": -1}, "totalFrom"), ({"totalTo": "1.001"}, "totalTo"), ({"paging": 1}, "paging"),
    ({"paging": {"page": -1}}, "paging.page"), ({"paging": {"size": 101}}, "paging.size"),
    ({"paging": {"page": "0"}}, "paging.page"),
])
def test_bad_filter(order, admin, body, field):
    response = order.post("/orders/find-by-filter", admin, json=body)
    assert_problem(response, 400, "bad_field", field)


def test_only_admins(order, user):
    for token, status, code in ((user.token, 403, "forbidden"), (None, 401, "unauthorized")):
        assert_problem(order.get("/orders", token), status, code)
        assert_problem(order.post("/orders/find-by-filter", token, json={}), status, code)


def test_sorted_page_of_many_orders_reads_an_index(order, orders):
    """The plan of a page, as the service's statement is built, does not sort the table."""
    assert orders
    order.query("insert into orders (user_id) select 1 + n % 500 from generate_series(1, 20000) n")
    order.query("analyze orders")
    for column in ("user_id", "status", "total", "created_at", "updated_at"):
        plan = order.query(f"explain select row_number() over (order by {column}, order_id)"
                           f" from orders order by {column}, order_id limit 20")
        text = "\n".join(row[0] for row in plan)
        assert f"orders_{column.removesuffix('_id').removesuffix('_at')}" in text, text
        assert "Sort" not in text, text
