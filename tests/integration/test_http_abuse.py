"""What a client may do to a service's socket: broken, slow, huge, hasty and hostile requests. The
answer is an error or a closed connection, nothing is written, others are served meanwhile."""

import json
import os
import socket
import struct
from contextlib import contextmanager
from http.client import HTTPResponse

import pytest
import requests
from lib.service import assert_problem
from lib.wait import until

MAX_BODY = 65536
MAX_CONNECTIONS = 24
FIND = "/products/find-by-filter"


def cases(name, values):
    """parametrize with short ids, for some values are a megabyte long."""
    return pytest.mark.parametrize(name, values, ids=lambda value: repr(value)[:40])


@pytest.fixture(scope="module", name="product")
def _product(start_service):
    return start_service("product", MAX_BODY_BYTES=MAX_BODY, MAX_CONNECTIONS=MAX_CONNECTIONS)


@pytest.fixture(autouse=True)
def _unharmed(product):
    """After each test the same process still serves, and has given back what it used."""
    pid = product.pid
    yield
    assert product.running() and product.pid == pid, product.tail()
    until(lambda: requests.get(product.url + "/readyz", timeout=5).status_code == 200)
    until(lambda: open_sockets(product) == 0, what="connections to be closed")
    assert product.value("select count(*) from product") == 0


def open_sockets(product):
    """How many connections the process holds with its clients."""
    folder, own = f"/proc/{product.pid}/fd", set()
    for name in os.listdir(folder):
        try:
            own.add(os.readlink(f"{folder}/{name}"))
        except FileNotFoundError:  # closed meanwhile
            pass
    with open("/proc/net/tcp", encoding="ascii") as table:
        lines = [line.split() for line in list(table)[1:]]
    established, close_wait = "01", "08"
    return sum(int(line[1].split(":")[1], 16) == product.port
               and line[3] in (established, close_wait) and f"socket:[{line[9]}]" in own
               for line in lines)


@contextmanager
def connect(product, timeout_s=20):
    with socket.create_connection(("127.0.0.1", product.port), timeout=timeout_s) as client:
        yield client


def read_response(client, method="GET"):
    """One response with its body, or None when the connection ends without any."""
    response = HTTPResponse(client, method=method)
    try:
        response.begin()
        response.content = response.read()
    except (ConnectionError, ValueError):
        return None
    except Exception as error:  # http.client's own: an empty or cut status line
        if type(error).__name__ in ("RemoteDisconnected", "BadStatusLine"):
            return None
        raise
    return response


def read_to_end(client):
    """All bytes until the peer closes."""
    received = b""
    try:
        while chunk := client.recv(65536):
            received += chunk
    except ConnectionError:
        pass
    return received


def send_all(client, data):
    """Sends what the peer will take: it may answer and close in the middle."""
    try:
        client.sendall(data)
    except (ConnectionError, socket.timeout):
        pass


def exchange(product, data):
    """Sends raw bytes, says that no more will come, and returns all that is answered."""
    with connect(product) as client:
        send_all(client, data)
        try:
            client.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        return read_to_end(client)


def status_of(answer):
    """The status of the first response among raw bytes; None when there is none."""
    if not answer.startswith(b"HTTP/1."):
        assert answer == b"", answer[:200]
        return None
    return int(answer.split(b" ", 2)[1])


def head(method, path, *fields, version="HTTP/1.1", host="Host: x"):
    lines = [f"{method} {path} {version}", *([host] if host else []), *fields, "", ""]
    return "\r\n".join(lines).encode("latin-1")


def chunked(*parts):
    return head("POST", FIND, "Transfer-Encoding: chunked") + b"".join(parts)


class TestBroken:
    @cases("data", [
        b"\r\n", b"\r\n\r\n", b"\0" * 100, b"\xff" * 1000, b"GET\r\n\r\n", b"GET /livez\r\n\r\n",
        b"GET  /livez  HTTP/1.1\r\n\r\n", b" GET /livez HTTP/1.1\r\n\r\n",
        b"GET /livez HTTP/9.9\r\nHost: x\r\n\r\n", b"GET /livez HTTP/1.\r\nHost: x\r\n\r\n",
        b"GET /livez XTTP/1.1\r\nHost: x\r\n\r\n", b"GE\0T /livez HTTP/1.1\r\nHost: x\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x5a" * 500,  # a TLS ClientHello
        b"GET /livez HTTP/1.1\r\nno colon here\r\n\r\n",
        b"GET /livez HTTP/1.1\r\n: empty name\r\nHost: x\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: x\r\nA\0B: c\0d\r\n\r\n",
        b"GET /livez HTTP/1.1\rHost: x\r\r", b"GET /livez HTTP/1.1\r\nHost: x\r\n",
        b"GET /livez", b"G", b"*" * 100000,
        "ГЕТ /livez HTTP/1.1\r\nHost: x\r\n\r\n".encode(),
    ])
    def test_no_http_at_all(self, product, data):
        # Whatever it is taken for, the answer is one of HTTP or nothing, and the connection ends.
        status_of(exchange(product, data))

    def test_no_host(self, product):
        assert status_of(exchange(product, head("GET", "/livez", host=None))) == 400

    def test_unknown_and_odd_methods(self, product):
        for method in ("BREW", "get", "TRACE", "CONNECT", "OPTIONS", "X" * 500):
            answer = exchange(product, head(method, "/products/1", "Connection: close"))
            assert status_of(answer) in (400, 405, 501), (method, answer[:100])

    def test_head_has_no_body(self, product):
        answer = exchange(product, head("HEAD", "/livez", "Connection: close"))
        assert answer.endswith(b"\r\n\r\n")

    @cases("path", [
        "//livez", "/livez/", "/./livez", "/../livez", "/%2e%2e/livez", "/livez%00", "/%",
        "/%zz", "/products/1%2f..%2f2", "/products//1", "\\livez", "livez", "*", "?", "/?",
        "/" + "a/" * 2000, "/products/1/", "/products/1;x", "/products/1#x",
        "/products/" + "9" * 5000, "/\x01\x02", "/\xff\xfe",
    ])
    def test_odd_paths_are_not_found(self, product, path):
        status = status_of(exchange(product, head("GET", path, "Connection: close")))
        assert status in (400, 404, 414), (path, status)

    def test_absolute_form(self, product):
        status = status_of(exchange(product, head("GET", "http://other/livez",
                                                  "Connection: close")))
        assert status in (200, 400, 404)

    @cases("query", ["?", "?&", "?=", "?a", "?a=%", "?a=%zz", "?a=%00", "?" +
                                       "&" * 3000, "?" + "a=1&" * 1000, "?a=\xff", "?a=%ff%fe"])
    def test_odd_queries(self, product, query):
        answer = exchange(product, head("GET", "/products/1" + query, "Connection: close"))
        assert status_of(answer) in (None, 400, 404, 414)


class TestHuge:
    def test_request_line(self, product):
        answer = exchange(product, head("GET", "/" + "a" * 1000000))
        assert status_of(answer) in (None, 400, 414)

    def test_one_header(self, product):
        answer = exchange(product, head("GET", "/livez", "A: " + "a" * 1000000))
        assert status_of(answer) in (None, 400, 413, 431)

    def test_many_headers(self, product):
        answer = exchange(product, head("GET", "/livez", *[f"A{n}: b" for n in range(50000)]))
        assert status_of(answer) in (None, 400, 413, 431)

    def test_headers_without_end(self, product):
        with connect(product) as client:
            client.sendall(b"GET /livez HTTP/1.1\r\n")
            with pytest.raises(ConnectionError):
                while True:
                    client.sendall(b"A: b\r\n" * 1000)

    def test_long_identifiers_are_not_taken_over(self, product):
        for value in ("a" * 5000, "\"quoted\"", "a b", "a\tb", "ä"):
            response = requests.get(product.url + "/products/1", timeout=10,
                                    headers={"X-Request-Id": value.encode("latin-1")})
            body = assert_problem(response, 404)
            assert body["requestId"] == response.headers["X-Request-Id"]
            assert len(body["requestId"]) <= 128

    def test_body_over_the_limit_is_refused(self, product):
        for size in (MAX_BODY + 1, 10 * 1024 * 1024):
            response = requests.post(product.url + FIND, data=b" " * size, timeout=20)
            assert_problem(response, 413, "payload_too_large")

    def test_chunked_body_over_the_limit_is_refused(self, product):
        def parts():
            for _ in range(160):
                yield b" " * 65536

        response = requests.post(product.url + FIND, data=parts(), timeout=20)
        assert_problem(response, 413, "payload_too_large")

    def test_body_of_the_limit_is_read(self, product):
        body = b'{"nameInfix": "x"}'
        response = requests.post(product.url + FIND, data=body.ljust(MAX_BODY), timeout=20)
        assert response.status_code == 200, response.text

    @cases("depth", [65, 2000, MAX_BODY // 2 - 100])
    def test_deep_json(self, product, depth):
        for opening, closing in ((b"[", b"]"), (b'{"a":', b"}")):
            body = (b'{"x":' + opening * depth + b"1" + closing * depth + b"}")[:MAX_BODY]
            assert_problem(requests.post(product.url + FIND, data=body, timeout=20), 400)

    def test_many_members(self, product):
        body = json.dumps({f"a{number}": number for number in range(4000)})
        assert requests.post(product.url + FIND, data=body, timeout=20).status_code == 200


class TestBodies:
    @cases("length", ["-1", "+1", "abc", "1x", "", "0x10", "1,1", "1 1",
                                        "99999999999999999999999", str(2**64), str(2**63)])
    def test_bad_content_length(self, product, length):
        answer = exchange(product, head("POST", FIND, f"Content-Length: {length}") + b"{}")
        assert status_of(answer) in (None, 400, 413), answer[:200]

    @cases("fields", [
        ("Content-Length: 2", "Content-Length: 20"), ("Content-Length: 2",) * 2,
        ("Content-Length: 2", "Transfer-Encoding: chunked"),
        ("Transfer-Encoding: chunked", "Content-Length: 2"),
        ("Transfer-Encoding: gzip, chunked",), ("Transfer-Encoding: xchunked",),
        ("Transfer-Encoding: chunked, identity",), ("Transfer-Encoding : chunked",),
        ("Transfer-Encoding: chunked", "Transfer-Encoding: identity"), ("Content-Length : 2",),
        ("Content-Length: 2", " Transfer-Encoding: chunked"), ("Content-Length: 2", "Host: y"),
        ("Content-Length: 2", "Transfer-Encoding\x0b: chunked"), ("Content-Length\t: 2",),
    ])
    def test_ambiguous_length_ends_the_connection(self, product, fields):
        """Where two parts may read two lengths, what follows must not become a request."""
        smuggled = head("GET", "/livez")
        answer = exchange(product, head("POST", FIND, *fields) + b"{}" + smuggled)
        assert status_of(answer) in (None, 400), answer
        assert answer.count(b"HTTP/1.1 ") <= 1, answer

    @cases("parts", [
        (b"zz\r\n{}\r\n0\r\n\r\n",), (b"-2\r\n{}\r\n0\r\n\r\n",), (b"\r\n{}\r\n0\r\n\r\n",),
        (b"2\r\n{}XX0\r\n\r\n",), (b"2{}\r\n0\r\n\r\n",), (b"fffffffffffffffff\r\n{}",),
        (b"ffffffffffffffff\r\n{}",), (b"7fffffffffffffff\r\n{}",), (b"0x2\r\n{}\r\n0\r\n\r\n",),
        (b"2 \r\n{}\r\n0\r\n\r\n",), (b"1" * 5000,), (b"2\r\n{}\r\n0\r\nbad trailer\r\n\r\n",),
        (b"2;" + b"x" * 100000 + b"\r\n{}\r\n0\r\n\r\n",),
        (b"0\r\n" + b"T: x\r\n" * 20000 + b"\r\n",),
    ])
    def test_malformed_chunks(self, product, parts):
        status = status_of(exchange(product, chunked(*parts)))
        # Refused, or read for what it means. The 500 is libmicrohttpd's own answer to a line of
        # chunk extensions that its buffer can't hold; it closes the connection.
        assert status in (None, 200, 400, 413, 431, 500)

    def test_chunks_of_one_byte(self, product):
        body = b'{"nameInfix": "x"}'
        answer = exchange(product, chunked(
            *[b"1\r\n" + body[n:n + 1] + b"\r\n" for n in range(len(body))], b"0\r\n\r\n"))
        assert status_of(answer) == 200

    def test_chunk_extensions_and_trailers_are_skipped(self, product):
        answer = exchange(product, chunked(b'2;a=b;c="d"\r\n{}\r\n0\r\nTrailer: x\r\n\r\n'))
        assert status_of(answer) == 200

    def test_body_that_ends_early_writes_nothing(self, product, issuer):
        body = b'{"name": "half", "description": ""}'
        authorization = f"Authorization: Bearer {issuer.admin()}"
        for fields, sent in (
                ((f"Content-Length: {len(body) + 1}",), body),
                (("Transfer-Encoding: chunked",), b"%x\r\n%s\r\n" % (len(body), body)),
                (("Transfer-Encoding: chunked",), b"%x\r\n%s" % (len(body), body))):
            answer = exchange(product,
                              head("POST", "/manage/products", authorization, *fields) + sent)
            assert status_of(answer) in (None, 400)

    def test_reset_in_the_middle_of_a_body(self, product):
        for _ in range(20):
            with connect(product) as client:
                client.sendall(head("POST", FIND, "Content-Length: 1000") + b"{")
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def test_gone_before_the_answer(self, product):
        for _ in range(20):
            with connect(product) as client:
                client.sendall(head("POST", FIND, "Content-Length: 2") + b"{}")
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def test_expect_continue(self, product):
        with connect(product) as client:
            client.sendall(head("POST", FIND, "Content-Length: 2", "Expect: 100-continue"))
            assert client.recv(100).startswith(b"HTTP/1.1 100")
            client.sendall(b"{}")
            assert read_response(client).status == 200

    def test_expect_continue_of_a_body_over_the_limit(self, product):
        with connect(product) as client:
            client.sendall(head("POST", FIND, f"Content-Length: {MAX_BODY + 1}",
                                "Expect: 100-continue"))
            assert read_response(client, "POST").status == 413

    def test_body_of_a_get_is_not_the_next_request(self, product):
        smuggled = head("GET", "/livez")
        answer = exchange(product, head("GET", "/products/1", f"Content-Length: {len(smuggled)}")
                          + smuggled)
        assert answer.count(b"HTTP/1.1 ") == 1


class TestConnections:
    def test_http_1_0(self, product):
        answer = exchange(product, head("GET", "/livez", version="HTTP/1.0", host=None))
        assert status_of(answer) == 200
        with connect(product) as client:  # closes by itself
            client.sendall(head("GET", "/livez", version="HTTP/1.0", host=None))
            assert status_of(read_to_end(client)) == 200

    def test_http_1_0_keep_alive(self, product):
        with connect(product) as client:
            for _ in range(2):
                client.sendall(head("GET", "/livez", "Connection: Keep-Alive", version="HTTP/1.0"))
                assert read_response(client).status == 200

    def test_connection_close(self, product):
        with connect(product) as client:
            client.sendall(head("GET", "/livez", "Connection: close"))
            assert status_of(read_to_end(client)) == 200

    def test_pipelined_requests_are_answered_in_order(self, product):
        wanted, sent = [], b""
        for number in range(50):
            if number % 2:
                body = b'{"paging": {"page": %d}}' % number
                sent += head("POST", FIND, f"Content-Length: {len(body)}") + body
                wanted.append((200, number))
            else:
                sent += head("GET", f"/products/{number + 1}", f"X-Request-Id: r{number}")
                wanted.append((404, f"r{number}"))
        with connect(product) as client:
            client.sendall(sent)
            stream = client.makefile("rb")

            class Peer:  # lets one buffered stream feed all the responses
                def makefile(self, _mode):
                    return _Unclosed(stream)

            got = []
            for _ in wanted:
                response = HTTPResponse(Peer())
                response.begin()
                body = json.loads(response.read())
                got.append((response.status, body["page"]["pageNumber"] if response.status == 200
                            else body["requestId"]))
        assert got == wanted

    def test_request_byte_by_byte(self, product):
        body = b"{}"
        request = head("POST", FIND, f"Content-Length: {len(body)}") + body
        with connect(product) as client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for position in range(len(request)):
                client.sendall(request[position:position + 1])
            assert read_response(client).status == 200

    def test_a_client_that_reads_nothing_holds_up_no_other(self, product):
        with connect(product) as deaf:
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
            deaf.setblocking(False)
            request = head("GET", "/metrics") * 100
            try:
                while True:
                    deaf.send(request)
            except BlockingIOError:
                pass
            for _ in range(20):
                assert requests.get(product.url + "/livez", timeout=5).status_code == 200

    def test_idle_connections_hold_up_no_other(self, product):
        idle = [socket.create_connection(("127.0.0.1", product.port))
                for _ in range(MAX_CONNECTIONS // 2)]
        try:
            for client in idle:
                client.sendall(b"POST " + FIND.encode() + b" HTTP/1.1\r\nHost: x\r\n")
            for _ in range(20):
                assert requests.post(product.url + FIND, timeout=5).status_code == 200
        finally:
            for client in idle:
                client.close()

    def test_more_connections_than_allowed(self, product):
        """Those over the limit are turned away or wait; when the others go, all is as before."""
        clients = []
        try:
            for _ in range(MAX_CONNECTIONS * 3):
                client = socket.create_connection(("127.0.0.1", product.port), timeout=10)
                clients.append(client)
            assert product.running()
        finally:
            for client in clients:
                client.close()
        until(lambda: requests.get(product.url + "/livez", timeout=5).status_code == 200)

    def test_threads_and_files_are_given_back(self, product):
        def used():
            base = f"/proc/{product.pid}"
            return len(os.listdir(base + "/fd")), len(os.listdir(base + "/task"))

        for _ in range(10):
            exchange(product, head("GET", "/livez"))
        until(lambda: open_sockets(product) == 0)
        before = used()
        for _ in range(200):
            with connect(product) as client:
                client.sendall(head("GET", "/livez")[:-1])
        until(lambda: all(now <= was for now, was in zip(used(), before)),
              what=f"{before} files and threads")


class _Unclosed:
    """A stream whose close() leaves it open, for HTTPResponse closes what it has read."""

    def __init__(self, stream):
        self._stream = stream

    def __getattr__(self, name):
        return getattr(self._stream, name)

    def close(self):
        pass
