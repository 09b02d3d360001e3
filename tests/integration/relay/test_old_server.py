"""init on a server that is too old. There is none at hand: this one says no more than its version."""

import contextlib
import socket
import struct
import subprocess
import threading

import pytest

from lib import process


class Server:
    """Lets one client in, and keeps what it then sends."""

    def __init__(self, directory, version):
        self.received = b""
        self.dsn = f"host={directory} port=5432 user=x dbname=x"
        self._version = version
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(directory / ".s.PGSQL.5432"))
        self._socket.listen(1)
        self._socket.settimeout(30)
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self):
        with contextlib.suppress(TimeoutError):
            client, _ = self._socket.accept()
            with client:
                client.settimeout(30)
                client.recv(4096)
                client.sendall(message("R", struct.pack("!i", 0))
                               + message("S", f"server_version\0{self._version}\0".encode())
                               + message("K", bytes(8)) + message("Z", b"I"))
                while part := client.recv(4096):
                    self.received += part

    def stop(self):
        self._thread.join()
        self._socket.close()


def message(kind, content):
    return kind.encode() + struct.pack("!i", 4 + len(content)) + content


@pytest.fixture(name="server")
def fixture_server(tmp_path):
    made = Server(tmp_path, "13.14 (Debian 13.14-0+deb11u1)")
    yield made
    made.stop()


def test_init_says_so_before_it_does_anything(server):
    done = subprocess.run([process.binary("outbox-relay"), "init", "--source", server.dsn],
                          capture_output=True, text=True, timeout=60, check=False)
    server.stop()
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == ("outbox-relay init: the outbox needs PostgreSQL 14 or newer;"
                           " this server is 13.14 (Debian 13.14-0+deb11u1)\n")
    assert server.received == message("X", b"")
