"""What a callback must refuse, repeat without effect, or put right: forged, repeated and overtaken
events, posted to the running services beside the relay's own."""

import time
import uuid

import pytest
import requests

from lib.events import ONE, Poster, event, new_secret, sign
from lib.service import assert_problem
from lib.client import ok, shop_at

# (source, consumer), one for each consumer
SUBSCRIPTIONS = [("auth", "user-profile"), ("order", "billing"), ("billing", "order"),
                 ("product", "price"), ("order", "notification")]


@pytest.fixture(scope="module")
def shop(stack):
    with shop_at(stack.url, "127.0.1.6") as client:
        yield client


@pytest.fixture
def untouched(stack):
    stack.wait_delivered()
    before = stack.contents()
    yield
    assert stack.contents() == before


def poster(stack, source, consumer):
    return Poster(stack.service_url(consumer), stack.webhook_secret(source, consumer))


def user_created(**members):
    return event("user.created", 1, {"userId": 1, "username": "x", "role": "USER"}, source="/auth",
                 **members)


@pytest.mark.parametrize("source, consumer", SUBSCRIPTIONS)
def test_signature(stack, untouched, source, consumer):
    """Missing, malformed, by another secret, of another body, id or time, too old, too new."""
    right = poster(stack, source, consumer)
    wrong = Poster(stack.service_url(consumer), new_secret())
    body = b'{"specversion":"1.0"}'
    now = int(time.time())

    def signed(at, message_id="m"):
        return {"webhook-id": message_id, "webhook-timestamp": str(at),
                "webhook-signature": sign(right.secret, message_id, at, body)}

    good = signed(now)
    for name, headers in {
            "nothing": dict.fromkeys(good), "no id": {**good, "webhook-id": None},
            "no time": {**good, "webhook-timestamp": None},
            "no signature": {**good, "webhook-signature": None},
            "empty": {**good, "webhook-signature": ""},
            "v1 only": {**good, "webhook-signature": "v1,"},
            "not base64": {**good, "webhook-signature": "v1,***"},
            "other version": {**good, "webhook-signature": "v2" + good["webhook-signature"][2:]},
            "other id": {**good, "webhook-id": "n"},
            "other time": {**good, "webhook-timestamp": str(now - 1)},
            "time is no number": {**good, "webhook-timestamp": "now"},
            "too old": signed(now - 301), "too new": signed(now + 330)}.items():
        response = right.post_body(body, ONE, headers)
        assert response.status_code == 401, f"{name}: {response.status_code} {response.text}"
        assert_problem(response, 401)
    assert_problem(wrong.post(user_created()), 401)
    response = requests.post(stack.service_url(consumer) + "/internal/events", data=b"", timeout=30)
    assert_problem(response, 401)


@pytest.mark.parametrize("source, consumer", SUBSCRIPTIONS)
def test_signed_nonsense(stack, untouched, source, consumer):
    """A right signature does not make a body right."""
    post = poster(stack, source, consumer).post_body
    whole = user_created() | {"source": f"/{source}"}
    assert post(b"{").status_code == 400
    assert post(b"").status_code == 400
    for member in ("id", "source", "type", "specversion"):
        partial = {name: value for name, value in whole.items() if name != member}
        assert 400 <= poster(stack, source, consumer).post(partial).status_code < 500, member
    assert post(b" " * 10_000_000).status_code == 413


def test_event_of_another_source(stack, untouched):
    """Who may tell billing of users can't tell it of orders."""
    response = poster(stack, "auth", "billing").post(
        event("order.created", 1, {"orderId": 1, "userId": 1, "status": "NEW", "total": "1",
                                   "version": 1, "items": []}))
    assert_problem(response, 403, "bad_source")


def test_event_without_its_data(stack, untouched):
    """An event that can never be handled is refused for good, by name."""
    for data in ({}, {"userId": "x"}, {"userId": 0}, {"userId": 2 ** 63}, [], "text", None):
        response = poster(stack, "auth", "billing").post(
            event("user.created", 1, data, source="/auth"))
        assert response.status_code in (400, 422), f"{data}: {response.status_code} {response.text}"


def test_the_same_event_twice(stack, shop):
    """By the relay and then twice by hand: one effect."""
    user = shop.user(money="100")
    order = user.order((1, 1))
    user.bill(order)
    user.post(f"/me/orders/{order}/reject")
    user.messages(1)
    stack.wait_delivered()
    again = stack.query("order", "select event_id, event_type, aggregate_id, payload"
                                 " from outbox.event where aggregate_id = %s order by id",
                        (str(order),))
    before = stack.contents()
    for _ in range(2):
        for event_id, event_type, key, payload in again:
            same = event(event_type, key, payload, event_id=str(event_id))
            poster(stack, "order", "billing").deliver(same)
            if event_type == "order.rejected":
                poster(stack, "order", "notification").deliver(same)
    assert stack.contents() == before
    assert len(user.messages(1)) == 1


def test_events_out_of_order(stack, shop):
    """The whole history of an order, told backwards to billing as new events: the last state won
    and stays."""
    user = shop.user(money="100")
    order = user.order((1, 1))
    ok(user.post(f"/me/orders/{order}/add-items", json={"productId": 8, "quantity": 3}))
    ok(user.post(f"/me/orders/{order}/remove-items", json={"productId": 8, "quantity": 1}))
    total = user.order_state(order)["total"]
    bill = user.bill(order, total=total)
    stack.wait_delivered()
    history = stack.query("order", "select event_type, payload from outbox.event"
                                   " where aggregate_id = %s order by id desc", (str(order),))
    assert len(history) == 3
    for event_type, payload in history:
        poster(stack, "order", "billing").deliver(
            event(event_type, order, payload, event_id=str(uuid.uuid4())))
    assert user.bill(order) == bill


def test_first_event_last(stack, shop):
    """Billing hears of a later change before order.created, which then changes nothing."""
    user = shop.user(money="100")
    stack.wait_delivered()
    order = 10 ** 15 + user.id

    def told(event_type, version, total, **more):
        return event(event_type, order, {
            "orderId": order, "userId": user.id, "status": "NEW", "total": total,
            "version": version, "items": [], **more})

    poster(stack, "order", "billing").deliver(
        told("order.itemsadded", 2, "7.5", productId=1, quantity=1))
    bill = user.bill(order, total="7.5")
    poster(stack, "order", "billing").deliver(told("order.created", 1, "0"))
    assert user.bill(order) == bill
