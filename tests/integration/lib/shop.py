"""What the tests of orders and bills have in common: users and a stock of products."""

import itertools
from dataclasses import dataclass

from .events import event

_ids = itertools.count(1000)

# Products of the tests: {product id: tiers}.
TIERS = {
    1: [(1, "10"), (10, "9.5"), (100, "8")],
    2: [(1, "0.01")],
    3: [(1, "5")],  # archived
    6: [(1, "999999999999.99")],
    7: [(1, "0")],
}
ARCHIVED = 3
UNPRICED = 4  # a product without a price
UNKNOWN = 5  # neither


@dataclass
class User:
    id: int
    token: str

    def orders(self, *more):
        """The path of the user's orders, or below it."""
        return "/".join(["/users", str(self.id), "orders", *map(str, more)])

    def account(self, *more):
        return "/".join(["/accounts/by-user-id", str(self.id), *map(str, more)])


def new_user(issuer):
    user_id = next(_ids)
    return User(user_id, issuer.token(user_id))


def product_event(product_id, version=1, archived=False):
    return event("product.archived" if archived else "product.changed", product_id,
                 {"productId": product_id, "name": f"product {product_id}", "description": "",
                  "archived": archived, "version": version})


def price_event(product_id, tiers, version=1):
    return event("price.changed", product_id,
                 {"productId": product_id, "version": version,
                  "prices": [{"quantity": quantity, "value": value} for quantity, value in tiers]})


def stock(order):
    """Tells an order service of the products and prices above."""
    order.events.deliver(
        *(product_event(product_id, archived=product_id == ARCHIVED)
          for product_id in [*TIERS, UNPRICED]),
        *(price_event(product_id, tiers) for product_id, tiers in TIERS.items()))


def ok(response):
    """The JSON of an answer that must be 200."""
    assert response.status_code == 200, f"{response.status_code} {response.text}"
    return response.json()


def place(order, user, *items):
    """A new order of (product id, quantity) pairs; returns its id."""
    body = {"items": [{"productId": product, "quantity": quantity} for product, quantity in items]}
    return ok(order.post(user.orders(), user.token, json=body))["orderId"]


def relayed(emitted):
    """An event as a service emitted it, as the relay would post it."""
    source = "/" + emitted["type"].split(".")[0]
    return event(emitted["type"], emitted["key"], emitted["payload"], source=source,
                 event_id=str(emitted["id"]))
