"""The psql scripts of examples/sql tell the truth about a running stack."""

import json
import subprocess
import uuid

import pytest

from lib import wait
from lib.client import ok, shop_at
from lib.full_stack import PUBLISHERS
from lib.process import ROOT

SCRIPTS = sorted(path.name for path in (ROOT / "examples" / "sql").glob("*.sql"))


@pytest.fixture(scope="module")
def shop(stack):
    with shop_at(stack.url, "127.0.1.9") as client:
        yield client


def psql(stack, database, script, **variables):
    """Runs a script as superuser; any error fails it. Returns what it has printed."""
    options = [f"--set={name}={value}" for name, value in variables.items()]
    done = subprocess.run(
        ["psql", f"{stack.env['ADMIN_DSN']} dbname={database}", "-X", "--set=ON_ERROR_STOP=1",
         *options, "-f", str(ROOT / "examples" / "sql" / script)],
        capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0 and not done.stderr, f"{script}: {done.stdout}{done.stderr}"
    return done.stdout


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("database", PUBLISHERS)
def test_script_runs_in_every_publishing_database(stack, database, script):
    names = stack.query(database, "select name from outbox.subscription limit 1")
    assert psql(stack, database, script, order=1, **{"subscription": name for name, in names})


def test_every_script_is_in_the_readme():
    readme = (ROOT / "examples" / "sql" / "README.md").read_text()
    assert [name for name in SCRIPTS if f"]({name})" not in readme] == []


def test_lag_names_the_relay(stack):
    assert stack.query("order", "select holder from outbox.lease")[0][0] in \
        psql(stack, "order", "lag.sql")


def test_pending_says_why(stack, shop):
    user = shop.user()
    stack.wait_delivered()
    assert "(0 rows)" in psql(stack, "order", "pending.sql")

    with stack.killed("relay"):
        order = user.order()
        wait.until(lambda: "no relay runs" in psql(stack, "order", "pending.sql"), 20,
                   "the server to notice")
    with stack.killed("billing"):
        user.post(f"/me/orders/{order}/reject")
        wait.until(lambda: "endpoint is down" in psql(stack, "order", "pending.sql"), 20,
                   "the breaker")
    stack.query("order", "select outbox.pause('billing', 'stocktaking')")
    user.order()
    assert "subscription paused: stocktaking" in psql(stack, "order", "pending.sql")
    stack.query("order", "select outbox.resume('billing')")
    stack.wait_delivered()


def test_an_open_transaction_is_shown(stack):
    connection = stack.connect_as("order", "order")
    with connection.cursor() as cursor:
        cursor.execute("select outbox.emit('example', '1', 'example.happened', '{}')")
        shown = psql(stack, "order", "pending.sql").split("Open transactions")[1]
    connection.rollback()
    connection.close()
    assert "idle in transaction" in shown


def emit_created(stack, order_id, **members):
    """An order.created by hand, as nobody's order; returns the event's id."""
    payload = {"orderId": order_id, "userId": 1, "status": "NEW", "total": "1", "version": 1,
               "items": [], **members}
    return str(stack.query("order", "select outbox.emit('order', %s, 'order.created', %s)",
                           (str(order_id), json.dumps(payload)))[0][0])


def seen_by(stack, consumer, event_id):
    return stack.query(consumer, "select 1 from inbox.message where event_id = %s", (event_id,))


def test_a_refused_event_holds_its_key(stack):
    """stuck-keys.sql and pending.sql name it and what waits behind it; skip lets the key go on."""
    order = 10 ** 16 + uuid.uuid4().int % 10 ** 15
    bad = emit_created(stack, order, orderId="none")
    wait.until(lambda: str(order) in psql(stack, "order", "stuck-keys.sql"), 20, "its refusal")
    good = emit_created(stack, order)
    wait.until(lambda: "waits for event" in psql(stack, "order", "pending.sql"), 20, "the other")
    assert "refused" in psql(stack, "order", "pending.sql")
    row, = [line.split("|") for line in psql(stack, "order", "stuck-keys.sql").splitlines()
            if str(order) in line]
    assert row[0].strip() == "billing" and row[6].strip() == "422" and row[9].strip() == "1"

    stack.query("order", "select outbox.skip('billing', %s::uuid)", (bad,))
    wait.until(lambda: seen_by(stack, "billing", good), 20, "the event behind it")
    assert not seen_by(stack, "billing", bad)
    assert str(order) not in psql(stack, "order", "stuck-keys.sql")


@pytest.fixture
def one_attempt(stack):
    """Billing's subscription gives events up at once."""
    set_attempts = ("select outbox.subscribe(name, url, max_attempts => %s)"
                    " from outbox.subscription where name = 'billing'")
    before = stack.query("order", "select max_attempts from outbox.subscription"
                                  " where name = 'billing'")[0][0]
    stack.query("order", set_attempts, (1,))
    yield
    stack.query("order", set_attempts, (before,))


def test_a_dead_letter_can_be_redriven(stack, one_attempt):
    del one_attempt
    bad = emit_created(stack, 10 ** 16 + uuid.uuid4().int % 10 ** 15, orderId="none")

    def is_dead():
        return bad in psql(stack, "order", "dead-letters.sql")

    wait.until(is_dead, 20, "the dead letter")
    first = stack.query("order", "select last_attempt_at from outbox.delivery"
                                 " where event_id = %s", (bad,))
    told = psql(stack, "order", "redrive.sql", subscription="billing", event=bad)
    assert "events_sent_again" in told
    wait.until(lambda: is_dead() and first != stack.query(
        "order", "select last_attempt_at from outbox.delivery where event_id = %s", (bad,)),
        20, "its second death")
    stack.query("order", "select outbox.skip('billing', %s::uuid)", (bad,))
    assert not is_dead()


def test_story_of_an_order(stack, shop):
    user = shop.user(money="100")
    order = user.order((8, 1))
    user.pay(order)
    user.wait_order(order, "COMPLETED")
    user.messages(2)
    stack.wait_delivered()
    story = psql(stack, "postgres", "order-story.sql", order=order)
    timeline = story.split("The timeline")[1]
    steps = ["order emits order.created", "billing takes order.created",
             "billing emits billing.paymentcompleted", "order takes billing.paymentcompleted",
             "order emits order.confirmed", "order emits order.completed",
             "notification takes order.completed"]
    places = [timeline.find(step) for step in steps]
    assert -1 not in places and places == sorted(places), timeline
    assert "delivered" not in timeline and "pending" not in timeline
