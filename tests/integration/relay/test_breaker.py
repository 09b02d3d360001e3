"""The breaker outlives a relay in outbox.subscription: the next one must not leave it open."""

import pytest

from lib import process, wait


@pytest.fixture(name="down")
def fixture_down(outbox, receiver):
    """A relay whose endpoint is down, and an event that waits for it; the next probe is far away."""
    receiver.stop()
    outbox.subscribe("s", receiver.url())
    relay = outbox.relay(OUTBOX_RELAY_BREAKER_BASE_MS="60000", OUTBOX_RELAY_BREAKER_MAX_MS="60000")
    relay.wait_leader()
    outbox.emit()
    wait.until(lambda: outbox.status()["breaker"] == "open", 10, "the breaker to open")
    return relay


def is_closed(outbox, relay):
    return outbox.status()["breaker"] == "closed" and relay.metric("outbox_relay_breaker_state") == 0


def test_another_relay_closes_what_one_has_left_open(outbox, receiver, down):
    process.stop(down.process)
    receiver.start()
    relay = outbox.relay().wait_leader()
    receiver.wait_for(1)
    wait.until(lambda: is_closed(outbox, relay), 10, "the breaker to close")


def test_another_relay_says_that_the_endpoint_is_still_down(outbox, receiver, down):
    process.stop(down.process)
    relay = outbox.relay(OUTBOX_RELAY_BREAKER_MAX_MS="200").wait_leader()
    wait.until(lambda: relay.logged("endpoint is down"), 10, "a line in the log")
    assert outbox.status()["breaker"] == "open"
    receiver.start()
    receiver.wait_for(1)
    wait.until(lambda: is_closed(outbox, relay), 10, "the breaker to close")


def test_the_breaker_after_a_lost_connection(outbox, receiver, down):
    receiver.start()
    outbox.query("select pg_terminate_backend(pid) from pg_stat_activity"
                 " where application_name = 'outbox-relay' and datname = current_database()")
    receiver.wait_for(1)
    wait.until(lambda: is_closed(outbox, down), 10, "the breaker to close")
