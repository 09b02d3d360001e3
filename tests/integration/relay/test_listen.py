"""Where the relay's own HTTP server listens."""

import socket
import subprocess

import pytest

from lib import process, wait


def free_port(family, host):
    with socket.socket(family) as probe:
        try:
            probe.bind((host, 0))
        except OSError:
            pytest.skip(f"there is no {host} on this machine")
        return probe.getsockname()[1]


def is_ready(listen):
    command = [process.binary("outbox-relay"), "healthcheck", "--listen", listen]
    return subprocess.run(command, stderr=subprocess.DEVNULL, timeout=30,
                          check=False).returncode == 0


@pytest.mark.parametrize("family, host, listen", [
    (socket.AF_INET, "127.0.0.1", "127.0.0.1"), (socket.AF_INET, "127.0.0.1", "0.0.0.0"),
    (socket.AF_INET6, "::1", "[::1]"), (socket.AF_INET6, "::1", "::1"),
    (socket.AF_INET6, "::1", "[::]")])
def test_a_relay_is_asked_where_it_listens(outbox, family, host, listen):
    port = free_port(family, host)
    relay = process.start([process.binary("outbox-relay"), "run", "--listen", f"{listen}:{port}",
                           "--source", f"shop={outbox.relay_dsn}"], stderr=subprocess.DEVNULL)
    try:
        wait.until(lambda: is_ready(f"{listen}:{port}"), 20, "the relay to be ready")
        with socket.create_connection((host, port), 10):
            pass
    finally:
        assert process.stop(relay) == 0
