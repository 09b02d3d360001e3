"""An HTTP receiver that keeps what it gets and misbehaves on command."""

import base64
import hashlib
import hmac
import json
import socket
import struct
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from lib import wait


class Request:
    """One POST: when, where, its headers (lower case), its events."""

    def __init__(self, path, headers, body):
        self.at = time.monotonic()
        self.path = path
        self.headers = {name.lower(): value for name, value in headers.items()}
        self.body = body
        parsed = json.loads(body)
        self.batch = isinstance(parsed, list)
        self.events = parsed if self.batch else [parsed]

    @property
    def ids(self):
        return [event["id"] for event in self.events]

    def signed_with(self, secret):
        """Whether one of the signatures is of this secret."""
        key = base64.b64decode(secret.removeprefix("whsec_"))
        text = b".".join((self.headers["webhook-id"].encode(),
                          self.headers["webhook-timestamp"].encode(), self.body))
        wanted = "v1," + base64.b64encode(hmac.new(key, text, hashlib.sha256).digest()).decode()
        return wanted in self.headers["webhook-signature"].split(" ")


class Answer:
    """What the receiver does with a request. `accepts`: its events count as delivered."""

    def __init__(self, status=204, body=b"", headers=None, delay_s=0, accepts=None, then=None):
        self.status = status
        self.body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.headers = headers or {}
        self.delay_s = delay_s
        self.accepts = 200 <= status < 300 if accepts is None else accepts
        self.then = then  # "reset" or "reset-in-body"


RESET = Answer(accepts=False, then="reset")
RESET_IN_BODY = Answer(200, b"x" * 100, accepts=False, then="reset-in-body")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self):  # pylint: disable=invalid-name
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.receiver.handle(self, Request(self.path, self.headers, body))

    def log_message(self, *_):  # pylint: disable=arguments-differ
        pass

    def reset(self):
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, *_):  # a client that has gone, or one that was reset
        pass


class Receiver:
    """behave(request) -> Answer decides; None stands for 204."""

    def __init__(self, host="127.0.0.1", port=0):
        self.behave = lambda request: None
        self.lock = threading.Lock()
        self.requests = []  # all, in order of arrival
        self.delivered = []  # events of accepted requests, in order of the answers
        self.in_flight = self.most_in_flight = 0
        self.stopping = threading.Event()
        self.host = host
        self.port = port
        self._server = None
        self.start()

    def start(self, tls=None):
        """Listens; again on the same port after stop(). `tls`: an SSLContext."""
        self.stopping.clear()
        _Server.allow_reuse_address = True
        self._server = _Server((self.host, self.port), _Handler)
        self._server.receiver = self
        if tls:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self):
        """Connections are refused from now on."""
        if self._server:
            self.stopping.set()
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def url(self, path="/events"):
        return f"http://{self.host}:{self.port}{path}"

    def handle(self, handler, request):
        with self.lock:
            self.requests.append(request)
            self.in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self.in_flight)
        answer = self.behave(request) or Answer()
        self.stopping.wait(answer.delay_s)
        with self.lock:
            self.in_flight -= 1
            if answer.accepts:
                failed = self.failed_ids(answer)
                self.delivered += [e for e in request.events if e["id"] not in failed]
        self._reply(handler, answer)

    @staticmethod
    def failed_ids(answer):
        try:
            return {entry["id"] for entry in json.loads(answer.body)["failed"]}
        except (ValueError, KeyError, TypeError):
            return set()

    def _reply(self, handler, answer):
        if answer.then == "reset":
            handler.reset()
            return
        handler.send_response(answer.status)
        for name, value in answer.headers.items():
            handler.send_header(name, value)
        if answer.status != 204:
            promised = len(answer.body) * (2 if answer.then else 1)
            handler.send_header("Content-Length", str(promised))
        handler.end_headers()
        handler.wfile.write(answer.body)
        if answer.then == "reset-in-body":
            handler.wfile.flush()
            handler.reset()

    # What tests ask

    def ids(self):
        with self.lock:
            return [event["id"] for event in self.delivered]

    def count(self):
        with self.lock:
            return len(self.delivered)

    def by_key(self):
        """The sequence numbers of the delivered events of each key, in order."""
        keys = {}
        with self.lock:
            for event in self.delivered:
                keys.setdefault(event["partitionkey"], []).append(int(event["sequence"]))
        return keys

    def assert_complete_in_order(self, events):
        """At least once: a relay that was killed may have sent what it could not write down."""
        assert set(self.ids()) == set(events), "lost, or never committed"
        for key, sequence in self.by_key().items():
            first_of_each = list(dict.fromkeys(sequence))
            assert first_of_each == sorted(first_of_each), f"{key} is out of order"

    def wait_for(self, count, timeout_s=20):
        wait.until(lambda: self.count() >= count, timeout_s, f"{count} events, got {self.count()}")

    def wait_for_requests(self, count, timeout_s=20):
        wait.until(lambda: len(self.requests) >= count, timeout_s, f"{count} requests")
