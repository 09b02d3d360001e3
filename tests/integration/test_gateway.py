"""The gateway by itself: real nginx, and behind it servers that answer, refuse, hang or are gone as
the test wants. What it does together with the real services, the Postman collection shows."""

import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from lib import process, wait

SERVICES = ("auth", "user-profile", "billing", "order", "notification", "product", "price")
PREFIX = "/otusapp/alapitskii"
READ_TIMEOUT_S = 2
PART_TIMEOUT_S = 1
USER = {"Authorization": "Bearer user-7"}
ADMIN = {"Authorization": "Bearer admin-1"}

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


class Response:
    """What requests would give; but requests tidies paths up, and here they must go as they are."""

    def __init__(self, response):
        self.status_code = response.status
        self.headers = response.headers
        self.content = response.read()
        self.text = self.content.decode()

    def json(self):
        return json.loads(self.content)


class Backend:
    """An HTTP server in place of a service. `answer(method, path, headers, body)` gives status,
    headers and body, or raises Hang or Cut; what came in is in `seen`."""

    class Hang(Exception):
        """Says nothing until the client gives up."""

    class Cut(Exception):
        """Closes the connection without an answer."""

    def __init__(self, answer):
        self.default = answer
        self.server = None
        self.connections = set()
        self.port = process.free_port()
        self.reset()
        self.listen()

    def reset(self):
        self.answer = self.default
        self.seen = []

    def listen(self):
        backend = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self):
                super().setup()
                backend.connections.add(self.connection)

            def finish(self):
                backend.connections.discard(self.connection)
                super().finish()

            def handle_any(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                backend.seen.append((self.command, self.path, dict(self.headers), body))
                try:
                    status, headers, reply = backend.answer(
                        self.command, self.path, dict(self.headers), body)
                except Backend.Hang:
                    self.connection.settimeout(30)
                    self.connection.recv(1)  # ends when the gateway closes
                    self.close_connection = True
                    return
                except Backend.Cut:
                    self.close_connection = True
                    return
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(reply)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(reply)

            do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = handle_any

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self):
        if self.server:
            self.server.shutdown()
            self.server.server_close()
            self.server = None
            for connection in list(self.connections):
                connection.shutdown(socket.SHUT_RDWR)


def echo(status=200):
    return lambda *_: (status, {"Content-Type": "application/json"}, b'{"echo":true}')


def verify(_method, path, headers, _body):
    """What auth's /verify answers to the tokens user-N and admin-N."""
    if path != "/verify":
        return 200, {"Content-Type": "application/json"}, b'{"echo":true}'
    found = re.fullmatch(r"Bearer (user|admin)-(\d+)", headers.get("Authorization", ""))
    if not found:
        return 401, {"WWW-Authenticate": "Bearer"}, b"{}"
    role = found.group(1).upper()
    if headers["X-Required-Role"] not in (role, "ANY"):
        return 403, {}, b"{}"
    return 200, {"X-Auth-Sub": found.group(2), "X-Auth-Role": role, "X-Auth-Exp": "1"}, b"{}"


class Gateway:
    """nginx with the repository's template, in a directory and on a port of its own."""

    def __init__(self, backends, **settings):
        self.directory = Path(tempfile.mkdtemp(prefix="shop-gateway-"))
        self.port = process.free_port()
        self.log = self.directory / "access.log"
        addresses = {name.upper().replace("-", "_") + "_ADDRESS": f"127.0.0.1:{backend.port}"
                     for name, backend in backends.items()}
        environment = {
            **os.environ, **addresses, "RUN": str(self.directory), "WORKERS": "1",
            "LISTEN": f"127.0.0.1:{self.port}", "ACCESS_LOG": str(self.log),
            "READ_TIMEOUT": f"{READ_TIMEOUT_S}s", "PART_TIMEOUT": f"{PART_TIMEOUT_S}s", **settings}
        conf = self.directory / "nginx.conf"
        conf.write_bytes(subprocess.run(
            [process.ROOT / "services/gateway/render"], env=environment, check=True,
            stdout=subprocess.PIPE).stdout)
        nginx = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")
        user = "user root;" if os.geteuid() == 0 else ""
        with open(self.directory / "error.log", "wb") as errors:
            self.process = process.start(
                [nginx, "-c", conf, "-e", "stderr", "-g", f"daemon off; {user}"], stderr=errors)
        wait.until(self.answers, 10, "nginx answers")

    def answers(self):
        return self.request("GET", "/health").status_code == 200

    def stop(self):
        process.stop(self.process)
        shutil.rmtree(self.directory)

    def request(self, method, path, headers=None, data=None, **options):
        if "json" in options:
            data = json.dumps(options["json"])
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, body=data, headers=headers or {})
            return Response(connection.getresponse())
        finally:
            connection.close()

    def raw(self, data):
        """Sends bytes, returns all that comes until the gateway closes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as connection:
            connection.sendall(data)
            received = b""
            while chunk := connection.recv(65536):
                received += chunk
            return received


@pytest.fixture(scope="module")
def all_backends():
    made = {name: Backend(verify if name == "auth" else echo()) for name in SERVICES}
    yield made
    for backend in made.values():
        backend.close()


@pytest.fixture(scope="module")
def running(all_backends):
    gateway = Gateway(all_backends)
    yield gateway
    gateway.stop()


@pytest.fixture
def backends(all_backends):
    """All of them up and answering, with nothing seen yet."""
    for backend in all_backends.values():
        backend.reset()
        if not backend.server:
            backend.listen()
    return all_backends


@pytest.fixture
def gateway(running, backends):
    """The tokens are new for each test, so that no answer of /verify is in the cache."""
    return running


@pytest.fixture
def user():
    """A token that no test has used yet, and its sub."""
    user.count = getattr(user, "count", 1000) + 1
    return {"Authorization": f"Bearer user-{user.count}"}


def assert_problem(response, status, code):
    assert response.status_code == status, response.text
    assert response.headers["Content-Type"] == "application/problem+json"
    body = response.json()
    assert (body["status"], body["code"]) == (status, code)
    assert body["type"].endswith("/" + code) and body["title"] and body["detail"]
    assert body["requestId"] == response.headers["X-Request-Id"]


def seen_paths(backend):
    return [(method, path) for method, path, _, _ in backend.seen if path != "/verify"]


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


def json_answer(value, status=200):
    return lambda *_: (status, {"Content-Type": "application/json"}, json.dumps(value).encode())


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
