"""Answers that the gateway merges from those of several services."""

import json
import time

import pytest

from backends import (
    PART_TIMEOUT_S, PREFIX, USER, Backend, assert_problem, json_answer, seen_paths, verify)

PROFILE = {"profileId": 1, "userId": 7, "firstName": "Ada", "lastName": "L", "email": "a@b",
           "phone": "1"}
ACCOUNT = {"accountId": 2, "userId": 7, "money": "99.9"}
WHOLE = {**PROFILE, **ACCOUNT, "id": 7, "username": "ada"}
del WHOLE["userId"]


def with_profile(backends):
    def auth(method, path, headers, body):
        if path == "/verify":
            return verify(method, path, headers, body)
        return json_answer({"id": 7, "username": "ada"})()
    backends["auth"].answer = auth
    backends["user-profile"].answer = json_answer(PROFILE)
    backends["billing"].answer = json_answer(ACCOUNT)


@pytest.mark.parametrize("prefix", ["", PREFIX])
def test_profile_is_merged(gateway, backends, prefix):
    with_profile(backends)
    response = gateway.request("GET", prefix + "/me/profile", headers=USER)
    assert (response.status_code, response.json()) == (200, WHOLE)
    assert response.headers["X-Completed"] == "true"
    assert response.headers["Content-Type"] == "application/json"
    assert seen_paths(backends["user-profile"]) == [("GET", "/profiles/by-user-id/7")]
    assert seen_paths(backends["billing"]) == [("GET", "/accounts/by-user-id/7")]
    assert seen_paths(backends["auth"]) == [("GET", "/users/7")]
    for name in ("user-profile", "billing"):
        headers = backends[name].seen[0][2]
        assert headers["Authorization"] == USER["Authorization"]
        assert headers["X-Request-Id"] == response.headers["X-Request-Id"]
    head = gateway.request("HEAD", prefix + "/me/profile", headers=USER)
    assert (head.status_code, head.content) == (200, b"")


@pytest.mark.parametrize("failure", ["down", "hangs", "503", "404", "garbage"])
def test_profile_without_a_part(gateway, backends, failure):
    with_profile(backends)
    if failure == "down":
        backends["billing"].close()
    elif failure == "hangs":
        def hang(*_):
            raise Backend.Hang
        backends["billing"].answer = hang
    elif failure == "garbage":
        backends["billing"].answer = lambda *_: (200, {}, b"<html>")
    else:
        backends["billing"].answer = json_answer({"code": "x"}, int(failure))
    began = time.monotonic()
    response = gateway.request("GET", "/me/profile", headers=USER)
    assert time.monotonic() - began < PART_TIMEOUT_S + 1
    assert response.status_code == 200
    assert response.headers["X-Completed"] == "false"
    assert response.json() == {k: v for k, v in WHOLE.items() if k not in ACCOUNT}


def test_profile_of_a_token_that_the_services_refuse(gateway, backends):
    with_profile(backends)
    backends["billing"].answer = json_answer({"code": "unauthorized"}, 401)
    response = gateway.request("GET", "/me/profile", headers=USER)
    assert (response.status_code, response.json()) == (401, {"code": "unauthorized"})


def test_profile_without_any_part(gateway, backends):
    def auth(method, path, headers, body):
        if path == "/verify":
            return verify(method, path, headers, body)
        raise Backend.Cut
    backends["auth"].answer = auth
    backends["user-profile"].close()
    backends["billing"].close()
    assert_problem(gateway.request("GET", "/me/profile", headers=USER), 502, "bad_gateway")


PRICES = [{"priceId": 1, "productId": 1, "quantity": 1, "value": "9.9"},
          {"priceId": 2, "productId": 2, "quantity": 1, "value": "5"},
          {"priceId": 3, "productId": 1, "quantity": 10, "value": "9"}]


def test_product_with_prices(gateway, backends):
    backends["product"].answer = json_answer({"productId": 1, "name": "Tea"})
    backends["price"].answer = json_answer(PRICES)
    response = gateway.request("GET", "/products/1")
    assert response.headers["X-Completed"] == "true"
    assert response.json() == {"productId": 1, "name": "Tea", "prices": [PRICES[0], PRICES[2]]}
    assert seen_paths(backends["price"]) == [("GET", "/prices?productIds=1")]
    backends["price"].close()
    response = gateway.request("GET", "/products/1")
    assert response.headers["X-Completed"] == "false"
    assert response.json() == {"productId": 1, "name": "Tea"}
    backends["product"].close()
    assert_problem(gateway.request("GET", "/products/1"), 502, "bad_gateway")


def test_products_with_prices(gateway, backends):
    page = {"page": {"pageNumber": 0, "pageSize": 20, "count": 2},
            "items": [{"productId": 1, "name": "Tea"}, {"productId": 2, "name": "Milk"}]}
    backends["product"].answer = json_answer(page)
    backends["price"].answer = json_answer(PRICES)
    response = gateway.request("POST", "/products/find-by-filter", json={"nameInfix": "e"})
    assert response.headers["X-Completed"] == "true"
    assert [item["prices"] for item in response.json()["items"]] == [
        [PRICES[0], PRICES[2]], [PRICES[1]]]
    assert backends["product"].seen[0][0] == "POST"
    assert json.loads(backends["product"].seen[0][3]) == {"nameInfix": "e"}
    assert backends["price"].seen[0][:2] == ("GET", "/prices?productIds=1,2")
    assert backends["price"].seen[0][3] == b""


def test_products_that_are_refused_or_none(gateway, backends):
    backends["product"].answer = json_answer({"code": "bad_field"}, 400)
    response = gateway.request("POST", "/products/find-by-filter", json={"nameInfix": 1})
    assert (response.status_code, response.json()) == (400, {"code": "bad_field"})
    backends["product"].answer = json_answer({"page": {}, "items": []})
    response = gateway.request("POST", "/products/find-by-filter", json={})
    assert (response.json(), response.headers["X-Completed"]) == ({"page": {}, "items": []}, "true")
    assert backends["price"].seen == []


def test_merged_body_beyond_memory_buffers(gateway, backends):
    """A filter that nginx spools to a file still reaches the service whole."""
    backends["product"].answer = json_answer({"page": {}, "items": []})
    body = json.dumps({"nameInfix": "x" * 900_000})
    response = gateway.request("POST", "/products/find-by-filter", data=body)
    assert response.status_code == 200
    assert backends["product"].seen[0][3] == body.encode()


def test_large_merged_answer(gateway, backends):
    items = [{"productId": i, "description": "d" * 5000} for i in range(100)]
    backends["product"].answer = json_answer({"page": {}, "items": items})
    backends["price"].answer = json_answer([])
    response = gateway.request("POST", "/products/find-by-filter", json={})
    assert len(response.json()["items"]) == 100
