"""The demo prices of the price service."""

import pytest
from lib.events import event
from lib.service import assert_problem

PRODUCTS = range(1, 21)


@pytest.fixture(scope="module", name="price")
def _price(start_service):
    price = start_service("price", DEMO_DATA="true")
    return price.init()  # a second time


def test_they_wait_for_no_product(price, issuer):
    rows = price.get("/prices", params={"productIds": ",".join(map(str, PRODUCTS))}).json()
    assert {row["productId"] for row in rows} == set(PRODUCTS)
    assert len(rows) == price.value("select count(*) from price")
    events = price.emitted("price.changed")
    assert sorted(event["payload"]["productId"] for event in events) == list(PRODUCTS)
    assert [row["value"] for row in rows if row["productId"] == 1] == ["24.9", "22.5", "19.9"]
    assert_problem(replace(price, issuer, 1, rows), 404, "unknown_product")


def test_each_is_one_that_the_service_would_accept(price, issuer):
    price.events.deliver(*[
        event("product.changed", product_id,
              {"productId": product_id, "archived": False, "version": 1})
        for product_id in PRODUCTS])
    for product_id in PRODUCTS:
        rows = price.get(f"/prices?productIds={product_id}").json()
        response = replace(price, issuer, product_id, rows)
        assert response.status_code == 200, response.text
        before, after = (e["payload"] for e in price.emitted("price.changed", product_id))
        assert after == {**before, "version": 2}


def replace(price, issuer, product_id, rows):
    tiers = [{"quantity": row["quantity"], "value": row["value"]} for row in rows
             if row["productId"] == product_id]
    return price.request("PUT", f"/manage/prices/{product_id}", issuer.admin(),
                         json={"prices": tiers})
