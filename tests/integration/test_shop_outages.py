"""Outages seen from the gateway: a callback, the relay or the database is unavailable for a while, and
nothing is lost, doubled or disordered."""

import psycopg2
import pytest

from lib import wait
from lib.service import assert_problem
from lib.client import ok, shop_at
from lib.full_stack import DATABASES, PUBLISHERS


@pytest.fixture(scope="module")
def shop(stack):
    with shop_at(stack.url, "127.0.1.8") as client:
        yield client


def events_of(user):
    return [(message["orderId"], message["eventType"])
            for message in ok(user.get("/me/notifications?size=100"))]


@pytest.mark.parametrize("how", ["killed", "paused"])
def test_callback_that_is_down(stack, shop, how):
    """Notification is away: orders go on, and its messages come later, once and in order."""
    user = shop.user(money="1000")
    with getattr(stack, how)("notification"):
        paid = [user.order((1, 1)) for _ in range(5)]
        rejected = [user.order((1, 1)) for _ in range(5)]
        for order in paid:
            user.pay(order)
        for order in rejected:
            ok(user.post(f"/me/orders/{order}/reject"))
        for order in paid:
            user.wait_order(order, "COMPLETED")
    user.messages(15)
    stack.wait_delivered()
    told = events_of(user)
    assert len(told) == 15
    for order in paid:
        assert [event for number, event in told if number == order] == \
            ["order.confirmed", "order.completed"]
    for order in rejected:
        assert [event for number, event in told if number == order] == ["order.rejected"]


def test_callback_that_is_killed_again_and_again(stack, shop):
    """Billing dies in the middle of deliveries; each order still gets exactly one bill."""
    user = shop.user(money="1000")
    orders = []
    for _ in range(4):
        with stack.killed("billing"):
            orders += [user.order((8, 1)) for _ in range(3)]
        orders += [user.order((8, 1)) for _ in range(3)]
    for order in orders:
        user.bill(order)
    stack.wait_delivered()
    bills = ok(user.get("/me/bills?size=100"))
    assert sorted(bill["orderId"] for bill in bills) == orders


def test_relay_that_is_killed(stack, shop):
    """What is emitted while no relay runs is delivered by the next one."""
    user = shop.user(money="1000")
    with stack.killed("relay"):
        orders = [user.order((8, 1)) for _ in range(10)]
        assert ok(user.get("/me/bills")) == []
    for order in orders:
        user.bill(order)
    stack.wait_delivered()
    assert len(ok(user.get("/me/bills?size=100"))) == 10


def test_services_that_are_killed_while_busy(stack, shop):
    """kill -9 of the order service right after a payment: its answer is lost, its effect is not."""
    user = shop.user(money="1000")
    for _ in range(5):
        order = user.order((8, 1))
        user.pay(order)
        with stack.killed("order"):
            pass
        user.wait_order(order, "COMPLETED")
    assert len(user.messages(10)) == 10


@pytest.mark.parametrize("role", DATABASES)
def test_a_role_enters_its_own_database_only(stack, role):
    for database in DATABASES:
        if database == role:
            stack.connect_as(role, database).close()
            continue
        with pytest.raises(psycopg2.OperationalError, match="permission denied for database"):
            stack.connect_as(role, database)
    with pytest.raises(psycopg2.OperationalError, match="permission denied"):
        stack.connect_as(role, "postgres")


def test_the_relay_enters_the_publishing_databases_only(stack):
    for database in DATABASES:
        if database in PUBLISHERS:
            stack.connect_as("relay", database).close()
        else:
            with pytest.raises(psycopg2.OperationalError, match="permission denied for database"):
                stack.connect_as("relay", database)


@pytest.mark.parametrize("table", ["orders", "order_item", "inbox.message", "web.idempotency_key"])
def test_the_relay_reads_nothing_but_the_outbox(stack, table):
    connection = stack.connect_as("relay", "order")
    with connection.cursor() as cursor, pytest.raises(psycopg2.errors.InsufficientPrivilege):
        cursor.execute(f"select * from {table}")
    connection.close()


def test_database_that_is_down(stack, shop):
    """Every part answers 503 with Retry-After meanwhile, and all goes on by itself afterwards."""
    user = shop.user(money="1000")
    order = user.order((1, 1))
    user.bill(order)
    pids = stack.pids()
    with stack.database_down():
        for path in ("/me/orders", "/me/bills", "/me/notifications"):
            response = user.get(path)
            assert_problem(response, 503, "unavailable")
            assert int(response.headers["Retry-After"]) > 0
        response = shop.request("POST", "/login", json=user.credentials())
        assert_problem(response, 503, "unavailable")
        assert "Retry-After" in response.headers
        assert_problem(shop.request("GET", "/products/1"), 503, "unavailable")
        assert stack.get("order", "/livez").status_code == 200
        assert stack.get("order", "/readyz").status_code == 503
    wait.until(lambda: user.get("/me/orders").status_code == 200, 20, "the order service")
    wait.until(lambda: user.get("/me/bills").status_code == 200, 20, "the billing service")
    user.pay(order)
    user.wait_order(order, "COMPLETED")
    user.messages(2)
    assert stack.pids() == pids, "a program ended with the database"
