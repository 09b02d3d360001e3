"""The shop as its users see it: a client of the gateway, and people with tokens."""

import uuid
from contextlib import contextmanager

import requests
from requests.adapters import HTTPAdapter

from . import wait

PASSWORD = "correct horse battery"
PREFIX = "/otusapp/alapitskii"


class _FromAddress(HTTPAdapter):
    """Connects from a loopback address of its own, so that the gateway's limits by address don't
    let one test slow another down."""

    def __init__(self, address):
        self._address = address
        super().__init__(pool_maxsize=64)

    def init_poolmanager(self, *args, **options):
        super().init_poolmanager(*args, source_address=(self._address, 0), **options)


class Shop:
    """The gateway at `base_url`, called from `address` (any of 127.0.0.0/8)."""

    def __init__(self, base_url, address="127.0.0.1"):
        self.base_url = base_url
        self.http = requests.Session()
        self.http.mount("http://", _FromAddress(address))

    def request(self, method, path, token=None, **options):
        headers = dict(options.pop("headers", None) or {})
        if token:
            headers.setdefault("Authorization", f"Bearer {token}")
        options.setdefault("timeout", 60)
        return self.http.request(method, self.base_url + path, headers=headers, **options)

    def person(self, role="USER", name=None):
        """Registers and logs in someone new."""
        person = Person(self, name or f"{role.lower()}-{uuid.uuid4()}", PASSWORD)
        route = "/register/init-admin" if role == "ADMIN" else "/register/init"
        person.id = ok(self.request("POST", route, json=person.credentials()))["id"]
        return person.log_in()

    def user(self, money=None):
        """A new user; with `money`, one whose account holds as much."""
        user = self.person()
        if money is not None:
            ok(user.post("/me/add-money", json={"money": money}))
        return user

    def admin(self):
        return self.person("ADMIN")


class Person:
    def __init__(self, shop, name, password):
        self.shop, self.name, self.password = shop, name, password
        self.id = self.token = None

    def credentials(self):
        return {"username": self.name, "password": self.password}

    def log_in(self):
        self.token = ok(self.shop.request("POST", "/login", json=self.credentials()))["token"]
        return self

    def get(self, path, **options):
        return self.shop.request("GET", path, self.token, **options)

    def post(self, path, **options):
        return self.shop.request("POST", path, self.token, **options)

    def put(self, path, **options):
        return self.shop.request("PUT", path, self.token, **options)

    def order(self, *items):
        """Makes an order of (product id, quantity) pairs and returns its id."""
        body = {"items": [{"productId": product, "quantity": quantity}
                          for product, quantity in items]}
        return ok(self.post("/me/orders", json=body))["orderId"]

    def order_state(self, order_id):
        return ok(self.get(f"/me/orders/{order_id}"))

    def bill(self, order_id, status="CREATED", **members):
        """Waits for the order's bill with this status (and other members), and returns it."""
        wanted = {"orderId": order_id, "status": status, **members}

        def find():
            bills = ok(self.get("/me/bills?size=100"))
            return next((bill for bill in bills if wanted.items() <= bill.items()), None)

        return wait.until(find, 20, f"a bill with {wanted}")

    def pay(self, order_id):
        """Waits for the bill and pays it; returns the bill's id."""
        bill_id = self.bill(order_id)["billId"]
        ok(self.post(f"/me/bills/{bill_id}/confirm"))
        return bill_id

    def wait_order(self, order_id, status):
        return wait.until(
            lambda: next((order for order in [self.order_state(order_id)]
                          if order["status"] == status), None),
            20, f"order {order_id} to be {status}")

    def money(self):
        return ok(self.get("/me/profile"))["money"]

    def messages(self, count):
        """Waits for so many notifications and returns them all."""
        return wait.until(
            lambda: next((messages for messages in [ok(self.get("/me/notifications?size=100"))]
                          if len(messages) >= count), None),
            20, f"{count} notifications")


def ok(response):
    """The JSON of an answer that must be 200."""
    request = response.request
    assert response.status_code == 200, \
        f"{request.method} {request.path_url}: {response.status_code} {response.text}"
    assert response.headers["Content-Type"].startswith("application/json")
    return response.json()


def until_answer(send, wanted, what, timeout_s=20, interval_s=0.02):
    """Sends again until the answer is as wanted, and returns it. (A requests.Response of 400 and
    more is false, so wait.until itself would not take it.)"""
    def attempt():
        response = send()
        return [response] if wanted(response) else None
    return wait.until(attempt, timeout_s, what, interval_s)[0]


@contextmanager
def shop_at(base_url, address):
    shop = Shop(base_url, address)
    try:
        yield shop
    finally:
        shop.http.close()
