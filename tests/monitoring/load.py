"""Some users of the shop, bounded: each way through it a few times, then one buyer who goes on."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from lib.client import PASSWORD, ok, until_answer

BUYERS, ORDERS = 4, 5


def play(shop):
    admin = shop.admin()
    # One after the other: hashing passwords at once has a limit.
    users = [shop.user(money="100000") for _ in range(BUYERS)]
    with ThreadPoolExecutor(BUYERS) as pool:
        list(pool.map(buy, users))
    ok(users[0].post("/change-password", json={"oldPassword": PASSWORD, "newPassword": PASSWORD + "!"}))
    product = ok(admin.post("/admin/products", json={"name": "Kite", "description": "red"}))
    prices = {"prices": [{"quantity": 1, "value": "12.50"}]}
    until_answer(lambda: admin.put(f"/admin/prices/{product['productId']}", json=prices),
                 lambda answer: answer.status_code == 200, "the price service to know the product")
    ok(admin.get("/admin/orders?size=5"))


def buy(user):
    ok(user.post("/me/profile", json={"firstName": "Ada", "lastName": "L", "email": "ada@example.org",
                                      "phone": "+1 555 0100"}))
    ok(user.post(f"/me/orders/{user.order((1, 1))}/reject"))
    for _ in range(ORDERS):
        buy_once(user)
    ok(user.get("/me/profile"))
    ok(user.get("/me/notifications"))


def buy_once(user):
    ok(user.get("/products/1"))
    order = user.order((1, 2), (2, 1))
    ok(user.post(f"/me/orders/{order}/add-items", json={"productId": 3, "quantity": 1}))
    user.bill(order, total=user.order_state(order)["total"])
    user.pay(order)
    user.wait_order(order, "COMPLETED")


@contextmanager
def going_on(shop):
    """A user who buys one thing after the other meanwhile."""
    user, enough, errors = shop.user(money="1000000"), threading.Event(), []

    def shopping():
        try:
            while not enough.wait(0.2):
                buy_once(user)
        except Exception as error:  # told to whoever waits
            errors.append(error)

    thread = threading.Thread(target=shopping)
    thread.start()
    try:
        yield
    finally:
        enough.set()
        thread.join()
    assert not errors, errors
