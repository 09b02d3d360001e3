"""What the gateway answers when a service does not, and to what it does not let through."""

import json
import time

import pytest

from lib import wait
from backends import (
    PREFIX, READ_TIMEOUT_S, USER, Backend, Gateway, assert_problem, echo, seen_paths)


def test_auth_down(gateway, backends, user):
    backends["auth"].close()
    assert_problem(gateway.request("GET", "/me/orders", headers=user), 502, "bad_gateway")
    assert_problem(gateway.request("GET", "/me/profile", headers=user), 502, "bad_gateway")
    assert_problem(gateway.request("POST", "/login", data="{}"), 502, "bad_gateway")


def test_auth_hangs_or_has_no_database(gateway, backends, user):
    def hang(*_):
        raise Backend.Hang
    backends["auth"].answer = hang
    assert_problem(gateway.request("GET", "/me/orders", headers=user), 504, "gateway_timeout")
    backends["auth"].answer = echo(503)
    response = gateway.request("GET", "/me/orders", headers=user)
    assert_problem(response, 503, "unavailable")
    assert int(response.headers["Retry-After"]) > 0
    backends["auth"].answer = echo(500)
    assert_problem(gateway.request("GET", "/me/orders", headers=user), 500, "internal")


def test_service_down_hangs_or_cuts(gateway, backends):
    def hang(*_):
        raise Backend.Hang

    def cut(*_):
        raise Backend.Cut
    backends["order"].answer = hang
    began = time.monotonic()
    assert_problem(gateway.request("GET", "/me/orders", headers=USER), 504, "gateway_timeout")
    assert READ_TIMEOUT_S <= time.monotonic() - began < READ_TIMEOUT_S + 1
    backends["order"].answer = cut
    assert_problem(gateway.request("POST", "/me/orders", headers=USER), 502, "bad_gateway")
    backends["order"].close()
    assert_problem(gateway.request("GET", "/me/orders", headers=USER), 502, "bad_gateway")
    backends["order"].listen()
    backends["order"].answer = echo()
    assert gateway.request("GET", "/me/orders", headers=USER).status_code == 200


def test_a_post_is_never_sent_twice(gateway, backends):
    """Also not when the kept connection turns out closed: it may have been done."""
    def cut(*_):
        raise Backend.Cut
    assert gateway.request("GET", "/me/orders", headers=USER).status_code == 200  # now it is kept
    backends["order"].seen.clear()
    backends["order"].answer = cut
    assert_problem(gateway.request("POST", "/me/orders", headers=USER), 502, "bad_gateway")
    assert seen_paths(backends["order"]) == [("POST", "/users/7/orders")]


def test_a_services_own_problem_passes(gateway, backends):
    problem = b'{"status":409,"code":"order_wrong_status"}'
    backends["order"].answer = lambda *_: (
        409, {"Content-Type": "application/problem+json", "Retry-After": "3"}, problem)
    response = gateway.request("POST", "/me/orders/1/confirm", headers=USER)
    assert (response.status_code, response.content) == (409, problem)
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.headers["Retry-After"] == "3"


def test_too_large_a_body(gateway, backends):
    big = b"x" * (1024 * 1024 + 1)
    for path in ("/me/orders", "/products/find-by-filter", "/login"):
        assert_problem(gateway.request("POST", path, headers=USER, data=big), 413,
                       "payload_too_large")
        # a generator has no length and goes in chunks
        chunked = gateway.request("POST", path, headers=USER, data=iter([big]))
        assert_problem(chunked, 413, "payload_too_large")
    assert all(not seen_paths(backend) for backend in backends.values())
    assert gateway.request("POST", "/me/orders", headers=USER, data=big[:-1]).status_code == 200


@pytest.mark.parametrize("request_bytes,status,code", [
    (b"GARBAGE\r\n\r\n", 400, "bad_request"),
    (b"GET / HTTP/1.1\r\n\r\n", 400, "bad_request"),  # no Host
    (b"GET / HTTP/3.0\r\nHost: a\r\n\r\n", 505, "http_version"),
    (b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad_request"),
    (b"GET /" + b"a" * 20000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414, "uri_too_long"),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 20000 + b"\r\n\r\n", 431, "header_too_large"),
    (b"POST /login HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400, "bad_request"),
    (b"POST /login HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400,
     "bad_request"),
    (b"POST /login HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n", 400,
     "bad_request"),
    (b"POST /login HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: x\r\n\r\n", 501, "not_implemented"),
    (b"TRACE / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 405, "method_not_allowed"),
    (b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", None, None),
])
def test_nginx_own_errors_are_problems(gateway, request_bytes, status, code):
    head, _, body = gateway.raw(request_bytes).partition(b"\r\n\r\n")
    problem = json.loads(body)
    if status is None:
        status, code = problem["status"], problem["code"]
    assert head.startswith(f"HTTP/1.1 {status} ".encode())
    assert b"\r\nContent-Type: application/problem+json" in head
    assert (problem["status"], problem["code"]) == (status, code)
    assert b"\r\nX-Request-Id: " + problem["requestId"].encode() in head


def test_logins_are_limited_by_address(backends):
    gateway = Gateway(backends, LOGIN_RATE="1r/s", LOGIN_BURST="3")
    try:
        paths = ["/login", "/register/init", PREFIX + "/login", "/register/init-admin"]
        responses = [gateway.request("POST", paths[i % 4], data="{}") for i in range(10)]
        limited = [r for r in responses if r.status_code == 429]
        assert [r.status_code for r in responses[:4]] == [200] * 4
        assert len(limited) >= 5
        assert_problem(limited[0], 429, "too_many_requests")
        assert int(limited[0].headers["Retry-After"]) >= 1
        assert len(seen_paths(backends["auth"])) == len(responses) - len(limited)
        assert gateway.request("GET", "/prices").status_code == 200  # others are not
        wait.until(lambda: gateway.request("POST", "/login", data="{}").status_code == 200, 5,
                   "the limit lets in again")
    finally:
        gateway.stop()
