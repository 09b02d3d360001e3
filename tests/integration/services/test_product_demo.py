"""The demo goods of the product service."""


def test_they_come_once_with_events_and_ids_go_on(start_service, issuer):
    product = start_service("product", DEMO_DATA="true")
    product.init()  # a second time
    assert product.query("select min(product_id), max(product_id), count(*) from product") == [
        (1, 20, 20)]
    events = product.emitted("product.changed")
    assert [event["payload"]["productId"] for event in events] == list(range(1, 21))
    found = product.post("/products/find-by-filter", json={"nameInfix": "crème"}).json()
    assert [item["name"] for item in found["items"]] == ["Crème brûlée set"]
    assert create(product, issuer) == 21


def test_they_leave_existing_products_alone(start_service, issuer):
    product = start_service("product")
    mine = create(product, issuer)
    product.environment["DEMO_DATA"] = "true"
    product.init()
    assert product.get(f"/products/{mine}").json()["name"] == "mine"
    assert len(product.emitted(aggregate_id=mine)) == 1
    assert create(product, issuer) == 21


def create(product, issuer):
    response = product.post("/manage/products", issuer.admin(),
                            json={"name": "mine", "description": ""})
    assert response.status_code == 200, response.text
    return response.json()["productId"]
