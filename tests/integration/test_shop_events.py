"""Every event of the system is emitted with its state change, carries what it must, and arrives."""

import uuid

import pytest

from lib import event_docs
from lib.client import ok, shop_at, until_answer
from lib.full_stack import PUBLISHERS

# publisher's database: the event types it emits
EVENTS = {
    "auth": {"user.created", "admin.created", "user.passwordchanged"},
    "user_profile": {"user.profilechanged"},
    "billing": {"billing.moneyadded", "billing.paymentcompleted", "billing.paymentrefunded"},
    "order": {"order.created", "order.itemsadded", "order.itemsremoved", "order.confirmed",
              "order.completed", "order.rejected", "order.paymentrefused"},
    "product": {"product.changed", "product.archived"},
    "price": {"price.changed"},
}

# event type, or its first word: the member of the payload that is the key
KEYS = {"billing.moneyadded": "accountId", "billing.paymentcompleted": "billId",
        "billing.paymentrefunded": "billId", "user": "userId", "admin": "userId",
        "order": "orderId", "product": "productId", "price": "productId"}

# consumer's database: the event types it must have seen
CONSUMED = {
    "user_profile": {"user.created"},
    "billing": {"user.created", "order.created", "order.itemsadded", "order.itemsremoved",
                "order.confirmed", "order.rejected", "order.paymentrefused"},
    "order": {"billing.paymentcompleted", "price.changed", "product.changed", "product.archived"},
    "price": {"product.changed", "product.archived"},
    "notification": {"order.confirmed", "order.completed", "order.rejected"},
}

TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture(scope="module")
def shop(stack):
    with shop_at(stack.url, "127.0.1.3") as client:
        yield client


@pytest.fixture(scope="module")
def played(stack, shop):
    """Makes every event happen, and waits until the relay has delivered them all."""
    admin, user = shop.admin(), shop.user(money="1000")
    ok(user.post("/change-password", json={"oldPassword": user.password,
                                           "newPassword": "another horse battery"}))
    ok(user.post("/me/profile", json={"firstName": "Eve", "lastName": "Nt", "email": "",
                                      "phone": ""}))
    product = ok(admin.post("/admin/products",
                            json={"name": f"Bell {uuid.uuid4()}", "description": ""}))["productId"]
    prices = {"prices": [{"quantity": 1, "value": "1"}]}
    ok(until_answer(lambda: admin.put(f"/admin/prices/{product}", json=prices),
                    lambda answer: answer.status_code != 404, "the price service to know it"))
    ok(admin.post(f"/admin/products/{product}/archive"))

    order = ok(user.post("/me/orders", headers={
        "traceparent": f"00-{TRACE}-b7ad6b7169203331-01", "X-Request-Id": "played-1"}))["orderId"]
    for path, quantity in (("add-items", 2), ("remove-items", 1)):
        ok(user.post(f"/me/orders/{order}/{path}", json={"productId": 1, "quantity": quantity}))
    bill = user.bill(order, total=user.order_state(order)["total"])
    ok(user.post(f"/me/bills/{bill['billId']}/confirm",
                 headers={"traceparent": f"00-{TRACE}-c7ad6b7169203331-01"}))
    user.wait_order(order, "COMPLETED")

    # A payment and a rejection that cross: both are told before either is heard of.
    crossed = user.order((1, 1))
    bill = user.bill(crossed)
    with stack.paused("relay"):
        ok(user.post(f"/me/orders/{crossed}/reject"))
        ok(user.post(f"/me/bills/{bill['billId']}/confirm"))
    user.bill(crossed, "REFUNDED")
    stack.wait_delivered()
    return {"user": user, "admin": admin, "order": order, "crossed": crossed}


@pytest.mark.parametrize("database", EVENTS)
def test_events_are_as_documented(stack, played, database):
    """All types there are, no other, each with exactly the members of docs/events.md."""
    del played
    rows = stack.query(database, "select event_type, payload, aggregate_id from outbox.event"
                                 " where event_type <> 'example.happened'")
    assert {event_type for event_type, _, _ in rows} == EVENTS[database]
    for event_type, payload, key in rows:
        event_docs.check(event_type, payload)
        member = KEYS.get(event_type) or KEYS[event_type.split(".")[0]]
        assert key == str(payload[member]), event_type


def test_no_secret_is_told(stack, played):
    texts = stack.query("auth", "select string_agg(payload::text || headers::text, ' ')"
                                " from outbox.event")[0][0]
    assert "argon2" not in texts and "horse" not in texts
    assert played["user"].token not in texts


@pytest.mark.parametrize("consumer", CONSUMED)
def test_every_event_has_arrived_once(stack, played, consumer):
    """Of all the events that were told, exactly those that the consumer wants are in its inbox."""
    del played
    told = [row for database in PUBLISHERS
            for row in stack.query(database, "select event_id, event_type from outbox.event")]
    seen = {event_id for event_id, in stack.query(consumer, "select event_id from inbox.message")}
    assert {event_id for event_id, event_type in told if event_type in CONSUMED[consumer]} == \
        {event_id for event_id, _ in told} & seen


def test_crossing_payment_is_refunded(stack, played):
    user = played["user"]
    order = user.order_state(played["crossed"])
    assert order["status"] == "REJECTED"
    paid = sum(bill[0] for bill in stack.query(
        "billing", "select total from bill where status = 'COMPLETED' and account_id ="
                   " (select account_id from account where user_id = %s)", (user.id,)))
    added, = stack.query("billing", "select sum((payload->>'money')::numeric) from outbox.event"
                                    " where event_type = 'billing.moneyadded'"
                                    " and payload->>'userId' = %s", (str(user.id),))[0]
    balance, = stack.query("billing", "select balance from account where user_id = %s",
                           (user.id,))[0]
    assert balance + paid == added
    reason, = stack.query("billing", "select payload->>'reason' from outbox.event"
                                     " where event_type = 'billing.paymentrefunded'"
                                     " and payload->>'orderId' = %s", (str(played["crossed"]),))[0]
    assert reason == "order_rejected"


def test_a_trace_goes_with_the_events(stack, played):
    """The client's trace is in the event of its request, and in the one that a consumer answers."""
    def headers(event_type):
        return stack.query("order", "select headers from outbox.event where event_type = %s and"
                                    " aggregate_id = %s", (event_type, str(played["order"])))[0][0]

    assert headers("order.created")["traceparent"].split("-")[1] == TRACE
    assert headers("order.created")["requestid"] == "played-1"
    assert headers("order.completed")["traceparent"].split("-")[1] == TRACE
    for service in ("order", "billing"):
        assert TRACE in stack.log(service)


def test_versions_rise_without_gaps(stack, played):
    versions = [version for version, in stack.query(
        "order", "select (payload->>'version')::int from outbox.event"
                 " where aggregate_id = %s order by id", (str(played["order"]),))]
    assert versions == list(range(1, len(versions) + 1))
    assert len(versions) == 5


def test_every_state_has_its_events(stack, played):
    """Rows and events were written together: there are as many of the one as of the other."""
    del played
    for database, rows, events in (
            ("auth", "select count(*) from credential", "user.created|admin.created"),
            ("order", "select count(*) from orders", "order.created"),
            ("order", "select count(*) from orders where status = 'REJECTED'", "order.rejected"),
            ("order", "select count(*) from orders where status = 'COMPLETED'", "order.completed"),
            ("billing", "select count(*) from bill where status = 'REFUNDED'",
             "billing.paymentrefunded"),
            ("billing", "select count(*) from bill where status in ('COMPLETED', 'REFUNDED')",
             "billing.paymentcompleted"),
            ("product", "select count(*) from product where archived", "product.archived")):
        count = stack.query(database, "select count(*) from outbox.event"
                                      " where event_type = any (%s)", (events.split("|"),))
        assert stack.query(database, rows) == count, events


def test_nothing_is_left_over(stack, played):
    del played
    for database in PUBLISHERS:
        for name, events, retrying, blocked, dead in stack.query(
                database, "select subscription, lag_events, retrying, blocked, dead"
                          " from outbox.status"):
            assert (events, retrying, blocked, dead) == (0, 0, 0, 0), f"{database} to {name}"
        assert stack.query(database, "select * from outbox.delivery") == []
