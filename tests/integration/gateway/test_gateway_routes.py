"""The gateway by itself: real nginx, and behind it servers that answer, refuse, hang or are gone as
the test wants. Here: which request goes where, and with what. What it does together with the real
services, the Postman collection shows."""

import json
import re
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from lib import wait
from backends import ADMIN, PREFIX, USER, assert_problem, json_answer, seen_paths, verify

# Method and path at the gateway, whose token, service, method and path behind.
ROUTES = [
    ("POST", "/register/init", None, "auth", "/register/init"),
    ("POST", "/register/init-admin", None, "auth", "/register/init-admin"),
    ("POST", "/login", None, "auth", "/login"),
    ("GET", "/refresh-token", USER, "auth", "/refresh-token"),
    ("GET", "/refresh-token", ADMIN, "auth", "/refresh-token"),
    ("POST", "/change-password", ADMIN, "auth", "/change-password"),
    ("POST", "/me/profile", USER, "user-profile", "/profiles/by-user-id/7"),
    ("POST", "/me/add-money", USER, "billing", "/accounts/by-user-id/7/add-money"),
    ("GET", "/me/bills?page=1", USER, "billing", "/accounts/by-user-id/7/bills?page=1"),
    ("GET", "/me/bills/3", USER, "billing", "/accounts/by-user-id/7/bills/3"),
    ("POST", "/me/bills/3/confirm", USER, "billing", "/accounts/by-user-id/7/bills/3/confirm"),
    ("POST", "/me/orders", USER, "order", "/users/7/orders"),
    ("GET", "/me/orders?page=0&size=5", USER, "order", "/users/7/orders?page=0&size=5"),
    ("GET", "/me/orders/12", USER, "order", "/users/7/orders/12"),
    ("GET", "/me/orders/abc", USER, "order", "/users/7/orders/abc"),
    ("POST", "/me/orders/12/add-items", USER, "order", "/users/7/orders/12/add-items"),
    ("POST", "/me/orders/12/remove-items", USER, "order", "/users/7/orders/12/remove-items"),
    ("POST", "/me/orders/12/confirm", USER, "order", "/users/7/orders/12/confirm"),
    ("POST", "/me/orders/12/reject", USER, "order", "/users/7/orders/12/reject"),
    ("GET", "/me/notifications", USER, "notification", "/users/7/notifications"),
    ("GET", "/prices?productIds=1,2", None, "price", "/prices?productIds=1,2"),
    ("POST", "/admin/products", ADMIN, "product", "/manage/products"),
    ("PUT", "/admin/products/4", ADMIN, "product", "/manage/products/4"),
    ("POST", "/admin/products/4/archive", ADMIN, "product", "/manage/products/4/archive"),
    ("PUT", "/admin/prices/4", ADMIN, "price", "/manage/prices/4"),
    ("GET", "/admin/orders?status=NEW&sort=id,DESC", ADMIN, "order",
     "/orders?status=NEW&sort=id,DESC"),
    ("POST", "/admin/orders", ADMIN, "order", "/orders/find-by-filter"),
]
ALLOWED = {
    "/register/init": "POST", "/register/init-admin": "POST", "/login": "POST",
    "/refresh-token": "GET, HEAD", "/change-password": "POST", "/me/profile": "GET, HEAD, POST",
    "/me/add-money": "POST", "/me/bills": "GET, HEAD", "/me/bills/1": "GET, HEAD",
    "/me/bills/1/confirm": "POST", "/me/orders": "GET, HEAD, POST", "/me/orders/1": "GET, HEAD",
    "/me/orders/1/add-items": "POST", "/me/orders/1/remove-items": "POST",
    "/me/orders/1/confirm": "POST", "/me/orders/1/reject": "POST", "/me/notifications": "GET, HEAD",
    "/products/1": "GET, HEAD", "/products/find-by-filter": "POST", "/prices": "GET, HEAD",
    "/admin/products": "POST", "/admin/products/1": "PUT", "/admin/products/1/archive": "POST",
    "/admin/prices/1": "PUT", "/admin/orders": "GET, HEAD, POST", "/health": "GET, HEAD",
}


@pytest.mark.parametrize("prefix", ["", PREFIX])
@pytest.mark.parametrize("method,path,token,service,behind", ROUTES)
def test_routes(gateway, backends, prefix, method, path, token, service, behind):
    body = json.dumps({"a": 1}) if method != "GET" else None
    response = gateway.request(method, prefix + path, headers=token, data=body)
    assert (response.status_code, response.json()) == (200, {"echo": True})
    assert seen_paths(backends[service]) == [(method, behind)]
    assert backends[service].seen[-1][3] == (body or "").encode()
    assert sum(len(seen_paths(backend)) for backend in backends.values()) == 1


@pytest.mark.parametrize("method,path,token,service,behind",
                         [route for route in ROUTES if route[2]])
def test_tokens(gateway, backends, method, path, token, service, behind):
    assert_problem(gateway.request(method, path), 401, "unauthorized")
    assert gateway.request(method, path).headers["WWW-Authenticate"] == "Bearer"
    bad = gateway.request(method, path, headers={"Authorization": "Bearer nonsense"})
    assert_problem(bad, 401, "unauthorized")
    if not path.startswith(("/refresh-token", "/change-password")):
        other = USER if token is ADMIN else ADMIN
        assert_problem(gateway.request(method, path, headers=other), 403, "forbidden")
    assert seen_paths(backends[service]) == []


@pytest.mark.parametrize("path,allowed", ALLOWED.items())
def test_wrong_method(gateway, backends, path, allowed):
    for method in {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} - set(
            allowed.split(", ")):
        response = gateway.request(method, path, headers=ADMIN)
        assert response.headers["Allow"] == allowed
        if method == "HEAD":
            assert response.status_code == 405
        else:
            assert_problem(response, 405, "method_not_allowed")
    assert all(not backend.seen for backend in backends.values())


@pytest.mark.parametrize("path", [
    "/", "/nothing", "/login/", "//login", "/LOGIN", "/me", "/me/", "/me/orders/", "/me/orders/1/pay",
    "/me/orders//1", "/me/orders/1/confirm/2", "/products", "/products/", "/products/1/prices",
    "/admin", "/admin/prices", "/internal/events", "/verify", "/jwk", "/metrics", "/livez", "/readyz",
    "/users/7/orders", "/orders", "/manage/products", "/profiles/by-user-id/7",
    "/_verify", "/_profile", "/_problem", "/_failed", "/_part/profile", "/%5fverify", "/_part/prices",
    "/gateway.js", "/nginx.conf", "/.git/config", "/caf%C3%A9", "/otusapp", "/otusapp/alapitskiix/login",
])
def test_unknown_path(gateway, backends, path):
    for prefix in ("", PREFIX, PREFIX + PREFIX):
        assert_problem(gateway.request("GET", prefix + path, headers=USER), 404, "not_found")
    assert all(not seen_paths(backend) for backend in backends.values())


@pytest.mark.parametrize("path", [
    "/me/../admin/orders", "/me/orders/..", "/../etc/passwd", "/me/./orders", "/me/orders/.",
    "/me/%2e%2e/admin/orders", "/me/.%2E/orders", "/me/orders/%2e", "/me%2forders", "/me%2Forders",
    "/me/orders/1%2fconfirm", "/me%5corders", "/me\\orders", "/me/orders/..%5c..", "/me/%252e%252e/x",
    "/me/orders%252f1", "/me/orders/1%00", "/me/orders/%", "/me/orders/%zz",
])
def test_ambiguous_path_is_refused(gateway, backends, path):
    for prefix in ("", PREFIX):
        assert_problem(gateway.request("GET", prefix + path, headers=USER), 400, "bad_request")
    assert all(not seen_paths(backend) for backend in backends.values())


def test_dots_and_slashes_in_a_query_are_no_path(gateway, backends):
    query = "?a=../..%2f%5c&b=%2e"
    assert gateway.request("GET", "/me/orders" + query, headers=USER).status_code == 200
    assert seen_paths(backends["order"]) == [("GET", "/users/7/orders" + query)]


@pytest.mark.parametrize("bad", ["1%0d%0aX-Injected:%201", "a%20b", "%C3%A9", "1%3fx=1", "1%23", "1;2"])
def test_strange_id_reaches_no_service_as_it_is(gateway, backends, bad):
    gateway.request("GET", "/me/orders/" + bad, headers=USER)
    gateway.request("GET", "/products/" + bad)
    assert seen_paths(backends["order"]) == [("GET", "/users/7/orders/_")]
    assert seen_paths(backends["product"]) == [("GET", "/products/_")]
    assert "X-Injected" not in backends["order"].seen[0][2]


def test_only_known_headers_pass(gateway, backends):
    spoofed = {
        **USER, "X-User-Id": "1", "X-Auth-Sub": "1", "X-Auth-Role": "ADMIN", "X-Required-Role": "ANY",
        "webhook-id": "1", "Cookie": "a=b", "X-Forwarded-For": "10.0.0.1", "Idempotency-Key": "k",
        "Accept": "application/json", "X-Real-Ip": "10.0.0.1"}
    gateway.request("GET", "/me/orders", headers=spoofed)
    headers = backends["order"].seen[0][2]
    assert set(headers) <= {
        "Host", "Authorization", "Accept", "User-Agent", "Idempotency-Key", "X-Request-Id",
        "traceparent", "X-Forwarded-For", "X-Forwarded-Proto"}
    assert headers["X-Forwarded-For"] == "127.0.0.1"
    assert headers["Idempotency-Key"] == "k"


TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_good_request_id_and_trace_are_kept(gateway, backends):
    response = gateway.request("GET", "/me/orders", headers={
        **USER, "X-Request-Id": "abc-1.2_3", "traceparent": TRACE, "tracestate": "a=b"})
    headers = backends["order"].seen[0][2]
    assert response.headers["X-Request-Id"] == headers["X-Request-Id"] == "abc-1.2_3"
    assert (headers["traceparent"], headers["tracestate"]) == (TRACE, "a=b")


@pytest.mark.parametrize("bad_id", ["", "a b", "x" * 129, "a\"b", "é"])
@pytest.mark.parametrize("bad_trace", [
    "", "garbage", TRACE.upper(), TRACE + "-x", "ff" + TRACE[2:], TRACE.replace("4bf9", "4bg9"),
    "00-" + 32 * "0" + TRACE[35:], TRACE[:36] + 16 * "0" + "-01"])
def test_bad_request_id_and_trace_are_replaced(gateway, backends, bad_id, bad_trace):
    response = gateway.request("GET", "/prices", headers={
        "X-Request-Id": bad_id.encode(), "traceparent": bad_trace, "tracestate": "a=b"})
    headers = backends["price"].seen[0][2]
    assert re.fullmatch("[0-9a-f]{32}", response.headers["X-Request-Id"])
    assert headers["X-Request-Id"] == response.headers["X-Request-Id"]
    assert re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-01", headers["traceparent"])
    assert headers["traceparent"].split("-")[1] == headers["X-Request-Id"]
    assert "tracestate" not in headers


def test_a_good_token_is_verified_once_per_role(gateway, backends, user):
    for _ in range(3):
        assert gateway.request("GET", "/me/orders", headers=user).status_code == 200
        assert gateway.request("GET", "/me/bills", headers=user).status_code == 200
        assert gateway.request("GET", "/refresh-token", headers=user).status_code == 200
        assert gateway.request("GET", "/admin/orders", headers=user).status_code == 403
    roles = [headers["X-Required-Role"] for _, path, headers, _ in backends["auth"].seen
             if path == "/verify"]
    assert sorted(roles) == ["ADMIN", "ADMIN", "ADMIN", "ANY", "USER"]


def test_a_no_is_not_remembered(gateway, backends, user):
    backends["auth"].answer = lambda *_: (401, {}, b"{}")
    assert gateway.request("GET", "/me/orders", headers=user).status_code == 401
    backends["auth"].answer = verify
    assert gateway.request("GET", "/me/orders", headers=user).status_code == 200


@pytest.mark.parametrize("sub", ["", "0", "-1", "1/../2", "abc", "99999999999999999999"])
def test_a_sub_that_is_no_id_becomes_nobody(gateway, backends, user, sub):
    backends["auth"].answer = lambda *_: (200, {"X-Auth-Sub": sub}, b"{}")
    gateway.request("GET", "/me/orders", headers=user)
    assert seen_paths(backends["order"]) == [("GET", "/users/0/orders")]


def test_answers_carry_security_headers(gateway):
    for path in ("/prices", "/nothing", "/health"):
        headers = gateway.request("GET", path).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == "no-store"
        assert headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert headers["Server"] == "nginx"


def test_upstream_connections_are_kept(gateway, backends):
    connections = set()

    def remember(*_):
        connections.add(threading.get_ident())  # a thread per connection
        return 200, {}, b"{}"
    backends["price"].answer = remember
    for _ in range(20):
        assert gateway.request("GET", "/prices").status_code == 200
    assert len(connections) == 1


def test_log_is_json_without_tokens(gateway, user):
    request_id = "log-1"
    gateway.request("DELETE", '/me/orders?q="x"', headers={**user, "X-Request-Id": request_id,
                                                          "User-Agent": 'a"b\\c'})
    gateway.request("GET", "/me/orders", headers={**user, "X-Request-Id": request_id})

    def lines():
        return [line for line in map(json.loads, gateway.log.read_text().splitlines())
                if line["requestId"] == request_id]
    wait.until(lambda: len(lines()) == 2, 5, "both lines are logged")
    refused, served = lines()
    assert (refused["method"], refused["status"], refused["uri"]) == ("DELETE", 405, '/me/orders?q="x"')
    assert (served["method"], served["status"], served["upstreamStatus"]) == ("GET", 200, "200")
    assert served["sub"] == user["Authorization"].split("-")[1]
    assert user["Authorization"] not in gateway.log.read_text()


def test_many_at_once(gateway, backends):
    """Answers of different users are never mixed up, whatever runs beside."""
    def order(_method, path, _headers, _body):
        return json_answer({"path": path})()
    backends["order"].answer = order

    def ask(i):
        headers = {"Authorization": f"Bearer user-{i % 17 + 1}"}
        return i, gateway.request("GET", "/me/orders", headers=headers).json()
    with ThreadPoolExecutor(16) as pool:
        for i, answer in pool.map(ask, range(400)):
            assert answer == {"path": f"/users/{i % 17 + 1}/orders"}
