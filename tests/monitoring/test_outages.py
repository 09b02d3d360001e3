"""Something breaks, the right alert fires, operators are told; it is mended, and they are told that too."""

import time

import pytest
import yaml
from lib import wait
from lib.client import ok
from operators import BOT_TOKEN
from watchers import MONITORING


def test_good_times_are_quiet(watchers, operators, busy_shop):
    for name in ("ServiceDown", "ServiceMissing", "OutboxBreakerOpen", "OutboxNoActiveRelay",
                 "OutboxDeadLetters", "OutboxLagAge", "PostgresDown", "ReplicationLag", "ReplicaLost",
                 "ExporterDown", "ExporterQueryFails", "RuleEvaluationFails", "NotificationsFail"):
        assert watchers.firing(name) == [], name


@pytest.mark.thorough
def test_consumer_is_down(watchers, operators, stack, busy_shop):
    user = busy_shop.user(money="1000")
    with stack.killed("notification"):
        order = user.order((1, 1))
        ok(user.post(f"/me/orders/{order}/reject"))
        message = operators.wait_told("firing", "OutboxBreakerOpen", "callback of notification",
                                      source="order", subscription="notification")
        assert "docs/runbooks/OutboxBreakerOpen.md" in message
        operators.wait_told("firing", "ServiceDown", "notification is down", service="notification")
        assert watchers.firing("OutboxBreakerOpen", subscription="billing") == []
        # The dashboards' annotation.
        assert watchers.query('ALERTS{alertstate="firing"}')

        # The relay and, past it, the database tell of the event that waits.
        def waits():
            for name in ("outbox_relay_lag_events", "outbox_subscription_lag_events"):
                series = watchers.query(f'{name}{{source="order", subscription="notification"}}')
                assert series and series[0][1] >= 1, (name, series)
            return True
        wait.until(waits, 20, "the lag", 0.2)

    operators.wait_told("resolved", "OutboxBreakerOpen", "callback of notification",
                        source="order", subscription="notification", timeout_s=90)
    operators.wait_told("resolved", "ServiceDown", service="notification")
    assert "order.rejected" in {entry["eventType"] for entry in user.messages(1)}


def test_relay_is_down(watchers, operators, stack, busy_shop):
    with stack.killed("relay"):
        operators.wait_told("firing", "OutboxNoActiveRelay", "events of order", source="order")
        operators.wait_told("firing", "ServiceDown", "outbox-relay is down", service="outbox-relay")
    operators.wait_told("resolved", "OutboxNoActiveRelay", "events of order", source="order")


@pytest.mark.thorough
def test_service_has_no_target(watchers, operators, busy_shop):
    with watchers.without("price"):
        operators.wait_told("firing", "ServiceMissing", "price is not scraped", service="price")
    operators.wait_told("resolved", "ServiceMissing", service="price")


@pytest.mark.thorough
def test_event_is_given_up(watchers, operators, stack, busy_shop):
    url = stack.service_url("notification") + "/internal/events"
    stack.query("order", "select outbox.subscribe('notification', %s, max_attempts => 1)", (url,))
    # Nobody else is told of order.completed.
    [[event]] = stack.query("order", "select outbox.emit('order', '0', 'order.completed',"
                                     " '{\"not\": \"an order\"}')")
    operators.wait_told("firing", "OutboxDeadLetters", "given up for notification",
                        source="order", subscription="notification")
    stack.query("order", "select outbox.skip('notification', %s::uuid)", (event,))
    operators.wait_told("resolved", "OutboxDeadLetters", source="order", subscription="notification")


def test_standby_tells_nothing_of_the_outbox(standby, stack):
    """It sees no lease: it would say that no relay is active."""
    queries = yaml.safe_load((MONITORING / "postgres-exporter/queries.yml").read_text("utf-8"))
    for name in ("outbox", "outbox_subscription"):
        assert stack.query("order", queries[name]["query"]), name
        assert standby.ask(queries[name]["query"], database="order") == "", name


@pytest.mark.thorough
def test_standby_falls_behind(watchers, operators, stack, standby, busy_shop):
    standby.ask("select pg_wal_replay_pause()")
    stack.query("postgres", "select count(pg_logical_emit_message(false, 'load', repeat('x', 1000000)))"
                            " from generate_series(1, 70)")
    operators.wait_told("firing", "ReplicationLag", "a standby is behind", replica="standby")
    standby.ask("select pg_wal_replay_resume()")
    operators.wait_told("resolved", "ReplicationLag", replica="standby")


@pytest.mark.thorough
def test_database_is_down(watchers, operators, stack, busy_shop):
    user = busy_shop.user()
    with stack.database_down():
        deadline = time.monotonic() + 60
        while not watchers.firing("HighErrorRatio", service="order"):
            assert user.get("/me/orders").status_code == 503
            assert time.monotonic() < deadline, "HighErrorRatio does not fire"
        operators.wait_told("firing", "PostgresDown", "PostgreSQL does not answer")
    operators.wait_told("resolved", "PostgresDown")
    wait.until(lambda: user.get("/me/orders").status_code == 200, 30, "the shop to work again")
    stack.wait_delivered()


def test_no_secret_is_logged(watchers, stack):
    password = (stack.directory / "secrets" / "role.monitor").read_text().strip()
    for name in ("prometheus", "alertmanager", "postgres", "node"):
        text = watchers.log(name)
        assert BOT_TOKEN not in text and password not in text, name
