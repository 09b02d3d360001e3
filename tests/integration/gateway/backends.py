"""nginx with the repository's template, and servers in place of the services behind it."""

import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from lib import process, wait

SERVICES = ("auth", "user-profile", "billing", "order", "notification", "product", "price")
PREFIX = "/otusapp/alapitskii"
READ_TIMEOUT_S = 2
PART_TIMEOUT_S = 1
USER = {"Authorization": "Bearer user-7"}
ADMIN = {"Authorization": "Bearer admin-1"}


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


def json_answer(value, status=200):
    return lambda *_: (status, {"Content-Type": "application/json"}, json.dumps(value).encode())


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


def assert_problem(response, status, code):
    assert response.status_code == status, response.text
    assert response.headers["Content-Type"] == "application/problem+json"
    body = response.json()
    assert (body["status"], body["code"]) == (status, code)
    assert body["type"].endswith("/" + code) and body["title"] and body["detail"]
    assert body["requestId"] == response.headers["X-Request-Id"]


def seen_paths(backend):
    return [(method, path) for method, path, _, _ in backend.seen if path != "/verify"]
