"""The price service: tiers with history, their events, and the copy of products."""

import random
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from itertools import count

import pytest
from lib.events import event
from lib.service import assert_problem

MAX_INT64 = 2**63 - 1
_ids = count(1000)


@pytest.fixture(scope="module", name="price")
def _price(start_service):
    return start_service("price")


@pytest.fixture(scope="module", name="admin")
def _admin(issuer):
    return issuer.admin()


def product_event(product_id, version=1, archived=False):
    return event("product.archived" if archived else "product.changed", product_id,
                 {"productId": product_id, "name": "n", "description": "d", "archived": archived,
                  "version": version})


@pytest.fixture(name="known")
def _known(price):
    """The id of a product that the service has heard of."""
    product_id = next(_ids)
    price.events.deliver(product_event(product_id))
    return product_id


def put(price, token, product_id, *tiers):
    return price.request("PUT", f"/manage/prices/{product_id}", token, json={
        "prices": [{"quantity": quantity, "value": value} for quantity, value in tiers]})


def current(price, *product_ids):
    response = price.get("/prices", params={"productIds": ",".join(map(str, product_ids))})
    assert response.status_code == 200, response.text
    return response.json()


def tiers_of(price, product_id):
    return [(row["quantity"], row["value"]) for row in current(price, product_id)]


def row_count(price):
    return price.value("select count(*) from price")


class TestReplace:
    def test_prices_are_listed_and_emitted(self, price, admin, known):
        response = put(price, admin, known, (1, "99.90"), (10, 80), (100, 75.5))
        assert response.status_code == 200, response.text
        assert set(response.json()) == {"eventId", "productId"}
        assert response.json()["productId"] == known
        rows = current(price, known)
        assert [(row["quantity"], row["value"]) for row in rows] == [
            (1, "99.9"), (10, "80"), (100, "75.5")]
        for row in rows:
            assert set(row) == {"priceId", "productId", "quantity", "value", "fromDate", "toDate"}
            assert row["productId"] == known
            assert row["toDate"] is None
            assert datetime.fromisoformat(row["fromDate"].replace("Z", "+00:00"))
        (sent,) = price.emitted("price.changed", known)
        assert sent["id"] == response.json()["eventId"]
        assert sent["payload"] == {"productId": known, "version": 1, "prices": [
            {"quantity": 1, "value": "99.9"}, {"quantity": 10, "value": "80"},
            {"quantity": 100, "value": "75.5"}]}

    def test_replaced_prices_become_history(self, price, admin, known):
        for tiers in ([(1, "3"), (5, "2")], [(1, "4")], [(1, "5"), (7, "1")]):
            assert put(price, admin, known, *tiers).status_code == 200
        assert tiers_of(price, known) == [(1, "5"), (7, "1")]
        history = price.query(
            "select quantity, value::text, to_date is null from price where product_id = %s"
            " order by price_id", (known,))
        assert history == [(1, "3.00", False), (5, "2.00", False), (1, "4.00", False),
                           (1, "5.00", True), (7, "1.00", True)]
        gaps = price.value(
            "select count(*) from price closed where product_id = %s and to_date is not null"
            " and not exists (select from price next where next.product_id = closed.product_id"
            " and next.from_date = closed.to_date)", (known,))
        assert gaps == 0
        versions = [e["payload"]["version"] for e in price.emitted("price.changed", known)]
        assert versions == [1, 2, 3]

    def test_concurrent_replacements_leave_one_whole_list(self, price, admin, known):
        def replace(number):
            return put(price, admin, known, (1, number), (number + 1, 0)).status_code

        with ThreadPoolExecutor(8) as pool:
            assert set(pool.map(replace, range(1, 25))) == {200}
        (first, second) = tiers_of(price, known)
        assert second == (int(first[1]) + 1, "0")
        sent = price.emitted("price.changed", known)
        assert [e["payload"]["version"] for e in sent] == list(range(1, 25))
        assert sent[-1]["payload"]["prices"][0]["value"] == first[1]
        assert price.value("select count(*) from price where product_id = %s"
                           " and to_date < from_date", (known,)) == 0

    @pytest.mark.parametrize(("given", "shown"), [
        ("0", "0"), (0, "0"), ("0.01", "0.01"), ("999999999999.99", "999999999999.99"),
        (12.5, "12.5"), ("12.500", "12.5"), (1000, "1000"),
    ])
    def test_money_is_canonical(self, price, admin, known, given, shown):
        assert put(price, admin, known, (1, given)).status_code == 200
        assert tiers_of(price, known) == [(1, shown)]

    def test_most_tiers(self, price, admin, known):
        tiers = [(1, "500")] + [(number * 10000, str(500 - number)) for number in range(1, 100)]
        assert put(price, admin, known, *tiers).status_code == 200
        assert tiers_of(price, known) == tiers
        assert_problem(put(price, admin, known, *tiers, (1000000, "1")), 400, "bad_field", "prices")

    @pytest.mark.parametrize(("tiers", "field"), [
        ([], "prices"),
        ([(0, 1)], "prices[0].quantity"),
        ([(2, 1)], "prices[0].quantity"),
        ([(1, 1), (1, 1)], "prices[1].quantity"),
        ([(1, 1), (5, 1), (4, 1)], "prices[2].quantity"),
        ([(1, 1), (1000001, 1)], "prices[1].quantity"),
        ([(2**63, 1)], "prices[0].quantity"),
        ([(-1, 1)], "prices[0].quantity"),
        ([(1.0, 1)], "prices[0].quantity"),
        ([("1", 1)], "prices[0].quantity"),
        ([(None, 1)], "prices[0].quantity"),
        ([(1, -1)], "prices[0].value"),
        ([(1, "-0.01")], "prices[0].value"),
        ([(1, "1.001")], "prices[0].value"),
        ([(1, 1.001)], "prices[0].value"),
        ([(1, "1000000000000")], "prices[0].value"),
        ([(1, 1e300)], "prices[0].value"),
        ([(1, "abc")], "prices[0].value"),
        ([(1, "")], "prices[0].value"),
        ([(1, "NaN")], "prices[0].value"),
        ([(1, True)], "prices[0].value"),
        ([(1, None)], "prices[0].value"),
        ([(1, 1), (2, [])], "prices[1].value"),
    ])
    def test_bad_tiers_write_nothing(self, price, admin, known, tiers, field):
        before = row_count(price), len(price.emitted())
        body = {"prices": [{"quantity": quantity, "value": value} for quantity, value in tiers]}
        response = price.request("PUT", f"/manage/prices/{known}", admin, json=body)
        assert_problem(response, 400, "bad_field", field)
        assert (row_count(price), len(price.emitted())) == before

    @pytest.mark.parametrize("body", [
        b"", b"{", b"[]", b"{}", b'{"prices": null}', b'{"prices": {}}', b'{"prices": [1]}',
        b'{"prices": [null]}', b'{"prices": [[]]}', b'{"prices": [{}]}', b'{"prices": NaN}',
        b'{"prices": [{"quantity": 1, "quantity": 1, "value": "1"}]}',
    ])
    def test_bad_body_writes_nothing(self, price, admin, known, body):
        before = row_count(price)
        assert_problem(price.request("PUT", f"/manage/prices/{known}", admin, data=body), 400)
        assert row_count(price) == before

    def test_unknown_product(self, price, admin):
        for product_id in (999999999, MAX_INT64):
            assert_problem(put(price, admin, product_id, (1, 1)), 404, "unknown_product")

    def test_bad_path_id(self, price, admin):
        for bad in ("0", "-1", "x", "1.5", str(2**63)):
            assert_problem(put(price, admin, bad, (1, 1)), 400, "bad_path_id")

    def test_only_an_admin_sets_prices(self, price, issuer, known):
        assert_problem(put(price, None, known, (1, 1)), 401, "unauthorized")
        assert_problem(put(price, issuer.token(5), known, (1, 1)), 403, "forbidden")
        assert tiers_of(price, known) == []


class TestList:
    def test_sorted_by_product_and_quantity(self, price, admin):
        ids = [next(_ids) for _ in range(3)]
        price.events.deliver(*[product_event(product_id) for product_id in ids])
        for product_id in reversed(ids):
            assert put(price, admin, product_id, (1, 3), (2, 2), (3, 1)).status_code == 200
        rows = current(price, *reversed(ids), ids[0])
        assert [(row["productId"], row["quantity"]) for row in rows] == [
            (product_id, quantity) for product_id in ids for quantity in (1, 2, 3)]
        repeated = price.get("/prices", params={"productIds": ids}).json()
        assert repeated == rows

    def test_no_prices_no_rows(self, price, known):
        assert current(price, known) == []
        assert current(price, 999999999, MAX_INT64) == []

    def test_a_hundred_ids_and_not_one_more(self, price, admin, known):
        assert put(price, admin, known, (1, 1)).status_code == 200
        long_ids = list(range(MAX_INT64 - 98, MAX_INT64 + 1))
        assert len(current(price, *long_ids, known)) == 1
        response = price.get("/prices", params={"productIds": ",".join(
            map(str, range(1, 102)))})
        assert_problem(response, 400, "bad_field", "productIds")
        response = price.get("/prices", params={"productIds": list(range(1, 102))})
        assert_problem(response, 400, "bad_field", "productIds")

    @pytest.mark.parametrize("query", [
        "", "?productIds=", "?productIds=,", "?productIds=1,", "?productIds=,1", "?productIds=1,,2",
        "?productIds=a", "?productIds=0", "?productIds=-1", "?productIds=1.5", "?productIds=1%202",
        f"?productIds={2**63}", "?productIds=1,x", "?productIds=1;2", "?productIds=01",
        "?productIds=1&productIds=x", "?productIds=" + "9" * 1000, "?productIds=1%00",
        "?productIds={1}", "?productid=1", "?productIds=%D9%A1",
    ])
    def test_bad_ids(self, price, query):
        assert_problem(price.get("/prices" + query), 400)


class TestProductCopy:
    def test_archived_product_takes_no_prices(self, price, admin, known):
        assert put(price, admin, known, (1, 5)).status_code == 200
        price.events.deliver(product_event(known, 2, archived=True))
        assert_problem(put(price, admin, known, (1, 6)), 409, "product_archived")
        assert tiers_of(price, known) == [(1, "5")]

    def test_older_event_undoes_nothing(self, price, admin):
        product_id = next(_ids)
        price.events.deliver(product_event(product_id, 5, archived=True))
        price.events.deliver(product_event(product_id, 4))
        price.events.deliver(product_event(product_id, 1))
        assert_problem(put(price, admin, product_id, (1, 1)), 409, "product_archived")
        assert price.query("select archived, version from product_copy where product_id = %s",
                           (product_id,)) == [(True, 5)]

    def test_batch_in_any_order_ends_at_the_newest(self, price):
        ids = [next(_ids) for _ in range(5)]
        batch = [product_event(product_id, version, archived=version == 6)
                 for product_id in ids for version in range(1, 7)]
        random.Random(7).shuffle(batch)
        price.events.deliver(*batch)
        price.events.deliver(*batch)  # and once more
        states = price.query("select archived, version from product_copy where product_id = any(%s)",
                             (ids,))
        assert states == [(True, 6)] * 5

    @pytest.mark.parametrize("change", [
        {"productId": None}, {"productId": 0}, {"productId": "1"}, {"version": None},
        {"version": 0}, {"version": 1.5}, {"archived": None}, {"archived": "true"},
        {"archived": 0},
    ])
    def test_malformed_event_is_refused_for_good(self, price, change):
        product_id = next(_ids)
        data = {"productId": product_id, "archived": False, "version": 1, **change}
        response = price.events.post(event("product.changed", product_id, data))
        assert response.status_code == 422, response.text
        assert price.query("select 1 from product_copy where product_id = %s", (product_id,)) == []

    def test_program_of_the_version_before_keeps_the_copy_by_its_former_name(
            self, price, admin, known):
        statement = (
            "insert into product as known (product_id, archived, version) values (%s, %s, %s)"
            " on conflict (product_id) do update"
            " set archived = excluded.archived, version = excluded.version"
            " where known.version < excluded.version")
        price.query(statement, (known, True, 3))
        price.query(statement, (known, False, 2))
        assert_problem(put(price, admin, known, (1, 6)), 409, "product_archived")

    def test_events_of_other_types_are_ignored(self, price):
        price.events.deliver(event("product.painted", 1, {"colour": "red"}))
