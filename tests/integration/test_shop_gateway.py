"""The gateway: what it adds to requests, what it keeps from the services, and what its clients see
when one of them hangs or is gone."""

import json
import random
import re
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from lib import wait
from lib.service import assert_problem
from lib.client import PREFIX, ok, shop_at, until_answer
from lib.full_stack import READ_TIMEOUT_S, SERVICES


@pytest.fixture(scope="module")
def shop(stack):
    with shop_at(stack.url, "127.0.1.7") as client:
        yield client


@pytest.fixture(scope="module")
def user(shop):
    return shop.user(money="100")


# What goes through


def test_request_id_comes_back(stack, shop, user):
    mine = f"test-{uuid.uuid4()}"
    response = user.get("/me/orders", headers={"X-Request-Id": mine})
    assert response.headers["X-Request-Id"] == mine
    for log in ("order", "gateway"):
        wait.until(lambda log=log: mine in stack.log(log), 5, f"{mine} in the log of {log}")
    problem = user.get("/me/orders/x", headers={"X-Request-Id": mine})
    assert problem.json()["requestId"] == mine
    problem = shop.request("GET", "/nothing", headers={"X-Request-Id": mine})
    assert problem.json()["requestId"] == mine
    made = shop.request("GET", "/products/1").headers["X-Request-Id"]
    assert re.fullmatch(r"[0-9A-Za-z-]{16,64}", made)


@pytest.mark.parametrize("bad", ["a b", "x" * 129, '"}', "ä".encode().decode("latin-1"), "\x7f"])
def test_request_id_that_is_no_id_is_replaced(shop, bad):
    response = shop.request("GET", "/nothing", headers={"X-Request-Id": bad})
    assert response.headers["X-Request-Id"] != bad
    assert response.json()["requestId"] == response.headers["X-Request-Id"]


def test_headers_of_the_client_do_not_say_who_it_is(shop, user):
    other = shop.user()
    spoofed = {name: str(other.id) for name in
               ("X-User-Id", "X-Auth-Sub", "X-Auth-Id", "X-Sub", "X-Remote-User")}
    spoofed |= {"X-Auth-Role": "ADMIN", "X-Role": "ADMIN", "X-Required-Role": "ANY",
                "X-Original-URL": "/internal/events", "X-Rewrite-URL": "/internal/events"}
    assert ok(user.get("/me/profile", headers=spoofed))["id"] == user.id
    assert_problem(user.get("/admin/orders", headers=spoofed), 403, "forbidden")
    assert_problem(shop.request("GET", "/me/profile", headers=spoofed), 401, "unauthorized")


def test_host_and_prefix_of_the_cluster(shop, user):
    response = user.get(PREFIX + "/me/profile", headers={"Host": "arch.homework"})
    assert ok(response)["id"] == user.id
    assert_problem(user.get(PREFIX + PREFIX + "/me/profile"), 404, "not_found")
    assert_problem(user.get(PREFIX + "/_verify"), 404, "not_found")
    assert_problem(user.get("/_part/profile"), 404, "not_found")


def test_answers_are_not_kept_by_anyone(user):
    for response in (user.get("/me/profile"), user.get("/nothing"), user.get("/me/orders")):
        assert response.headers["Cache-Control"] == "no-store"
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert "nginx/" not in response.headers.get("Server", "")


def test_head(user):
    response = user.shop.request("HEAD", "/me/orders", user.token)
    assert response.status_code == 200 and response.content == b""


def test_unauthorized_says_how_to_authorize(shop):
    response = shop.request("GET", "/me/orders")
    assert_problem(response, 401, "unauthorized")
    assert response.headers["WWW-Authenticate"].startswith("Bearer")


# Idempotency keys


def test_idempotency_key(stack, shop, user):
    """The same request with the same key happens once and is answered twice."""
    key = {"Idempotency-Key": str(uuid.uuid4())}
    before = stack.count("order", "orders")
    first = user.post("/me/orders", json={"items": []}, headers=key)
    again = user.post("/me/orders", json={"items": []}, headers=key)
    assert ok(first) == ok(again)
    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["Idempotency-Replayed"] == "true"
    assert stack.count("order", "orders") == before + 1

    other_body = user.post("/me/orders", json={"items": [{"productId": 1, "quantity": 1}]},
                           headers=key)
    assert_problem(other_body, 422, "idempotency_mismatch")
    other = shop.user()
    assert ok(other.post("/me/orders", json={"items": []}, headers=key)) != first.json()
    assert stack.count("order", "orders") == before + 2

    money = {"Idempotency-Key": str(uuid.uuid4())}
    for _ in range(3):
        assert ok(other.post("/me/add-money", json={"money": "5"}, headers=money))["money"] == "5"
    assert ok(other.post("/me/add-money", json={"money": "5"}))["money"] == "10"


def test_idempotency_key_raced(shop):
    """Twenty at once with the same key: one happens, and all are told of that one."""
    user = shop.user()
    key = {"Idempotency-Key": str(uuid.uuid4())}
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(
            lambda _: user.post("/me/add-money", json={"money": "5"}, headers=key), range(20)))
    assert len({ok(answer)["eventId"] for answer in answers}) == 1
    assert user.money() == "5"


def test_idempotency_key_of_a_refused_request_stays_free(user):
    key = {"Idempotency-Key": str(uuid.uuid4())}
    assert_problem(user.post("/me/add-money", json={"money": "0"}, headers=key), 400)
    ok(user.post("/me/add-money", json={"money": "0.01"}, headers=key))


# A service that hangs or is gone


@pytest.mark.parametrize("service, path", [("order", "/me/orders"), ("billing", "/me/bills"),
                                           ("notification", "/me/notifications")])
def test_hung_service(stack, user, service, path):
    """The client gets a 504 in time, and the other services go on."""
    ok(user.get(path))
    with stack.paused(service):
        begin = time.monotonic()
        response = user.get(path)
        took = time.monotonic() - begin
        ok(user.get("/refresh-token"))
    assert_problem(response, 504, "gateway_timeout")
    assert took < READ_TIMEOUT_S + 2
    ok(user.get(path))


@pytest.mark.parametrize("service, path", [("order", "/me/orders"), ("billing", "/me/bills"),
                                           ("notification", "/me/notifications")])
def test_killed_service(stack, user, service, path):
    with stack.killed(service):
        assert_problem(user.get(path), 502, "bad_gateway")
        assert_problem(user.get(path), 502, "bad_gateway")
        ok(user.get("/refresh-token"))
    ok(user.get(path))


@pytest.mark.parametrize("how", ["paused", "killed"])
@pytest.mark.parametrize("service, missing", [
    ("user-profile", {"profileId", "firstName", "lastName", "email", "phone"}),
    ("billing", {"accountId", "money"}),
    ("auth", {"id", "username"})])
def test_profile_without_a_part(stack, user, how, service, missing):
    """What does not answer is left out, and X-Completed says so."""
    whole = user.get("/me/profile")
    assert whole.headers["X-Completed"] == "true"
    with getattr(stack, how)(service):
        response = user.get("/me/profile")
        assert ok(response) == {name: value for name, value in whole.json().items()
                                if name not in missing}
        assert response.headers["X-Completed"] == "false"
    after = user.get("/me/profile")
    assert after.headers["X-Completed"] == "true" and ok(after) == whole.json()


def test_profile_without_any_part(stack, user):
    ok(user.get("/me/profile"))
    with stack.killed("user-profile"), stack.killed("billing"), stack.killed("auth"):
        assert_problem(user.get("/me/profile"), 502, "bad_gateway")


@pytest.mark.parametrize("how", ["paused", "killed"])
def test_product_without_prices(stack, shop, how):
    """Left out, not told as none; the same for a search."""
    search = {"productId": [1, 2]}
    with getattr(stack, how)("price"):
        product = shop.request("GET", "/products/1")
        assert ok(product)["productId"] == 1
        assert "prices" not in product.json()
        assert product.headers["X-Completed"] == "false"
        found = shop.request("POST", "/products/find-by-filter", json=search)
        assert [item["productId"] for item in ok(found)["items"]] == [1, 2]
        assert "prices" not in found.text
        assert found.headers["X-Completed"] == "false"
    found = shop.request("POST", "/products/find-by-filter", json=search)
    assert found.headers["X-Completed"] == "true" and ok(found)["items"][0]["prices"]


def test_prices_without_products(stack, shop):
    with stack.killed("product"):
        assert_problem(shop.request("GET", "/products/1"), 502, "bad_gateway")
        assert_problem(shop.request("POST", "/products/find-by-filter", json={}),
                       502, "bad_gateway")
        ok(shop.request("GET", "/prices?productIds=1"))


# The first check of the token


def test_a_good_token_is_remembered(stack, shop, user):
    """While auth hangs, a token it has just approved passes and a new one does not."""
    ok(user.get("/me/orders"))
    newer = ok(user.get("/refresh-token"))["token"]
    with stack.paused("auth"):
        ok(user.get("/me/orders"))
        assert_problem(shop.request("GET", "/me/orders", newer), 504, "gateway_timeout")
    ok(shop.request("GET", "/me/orders", newer))


def test_a_no_is_not_remembered(stack, shop):
    """A token that was refused because auth was away passes as soon as auth is back."""
    user = shop.user()
    with stack.killed("auth"):
        assert_problem(user.get("/me/orders"), 502, "bad_gateway")
    ok(user.get("/me/orders"))


def test_a_role_is_remembered_with_the_token(shop, user):
    """The yes to a USER route is no yes to an ADMIN route, and back."""
    admin = shop.admin()
    for _ in range(2):
        ok(user.get("/me/orders"))
        assert_problem(user.get("/admin/orders"), 403, "forbidden")
        ok(admin.get("/admin/orders"))
        assert_problem(admin.get("/me/orders"), 403, "forbidden")


# Limits


def test_rate_limit_on_login_and_registration(stack):
    """By address, whatever the client's headers say of it: the hasty one gets 429, others go on,
    and nothing else is limited."""
    with shop_at(stack.url, "127.0.9.9") as hasty, shop_at(stack.url, "127.0.9.10") as other:
        bad = {"username": "x"}  # refused before any password is hashed
        for path in ("/login", "/register/init"):
            response = until_answer(
                lambda path=path: hasty.request("POST", path, json=bad, headers={
                    "X-Forwarded-For": f"10.0.0.{random.randrange(255)}", "X-Real-IP": "10.1.1.1"}),
                lambda answer: answer.status_code == 429, "429", 30, 0)
            assert_problem(response, 429, "too_many_requests")
            assert int(response.headers["Retry-After"]) > 0
        ok(hasty.request("GET", "/products/1"))
        assert_problem(other.request("POST", "/login", json=bad), 400)
        other.user()


def test_slow_client_is_not_waited_for(stack):
    """Who sends half a request holds nothing up but itself."""
    with stack.connect() as slow, shop_at(stack.url, "127.0.9.11") as other:
        slow.sendall(b"POST /login HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{")
        ok(other.request("GET", "/products/1"))


# What is not there for clients


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_is_healthy(stack, service):
    for path in ("/livez", "/readyz", "/health", "/metrics"):
        assert stack.get(service, path).status_code == 200, path
    metrics = stack.get(service, "/metrics")
    assert metrics.headers["Content-Type"].startswith(
        ("text/plain", "application/openmetrics-text"))


@pytest.mark.parametrize("program", [*SERVICES, "relay"])
def test_logs_are_json_and_keep_secrets(stack, program):
    text = stack.log(program)
    for line in text.splitlines():
        json.loads(line)
    assert "whsec_" not in text and "argon2" not in text
    assert "correct horse" not in text and "Bearer ey" not in text
