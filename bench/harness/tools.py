"""The small C programs of the benchmark (built by make into build/bench/)."""

import json
import os
import subprocess

from lib import process

# What read.c can do, and how it is called in the tables.
READ_MODES = {
    "single-row": "SELECT in single-row mode, binary",
    "cursor": "SELECT by a cursor, 10,000 rows at a time, binary",
    "copy": "COPY TO STDOUT, binary",
}


def _program(name):
    path = process.BUILD / "bench" / name
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing: run make bench")
    return path


def free_port():
    return process.free_port()


def _run(program, *arguments, environment=None):
    done = subprocess.run(
        [_program(program), *(str(argument) for argument in arguments)], check=True,
        stdout=subprocess.PIPE, env={**os.environ, **(environment or {})})
    return json.loads(done.stdout)


def read_rate(cluster, mode, events):
    """Rows per second of a plain read of outbox.event; fails when it isn't all of them."""
    result = _run("read", mode, environment=cluster.environment(cluster.database))
    if result["rows"] < events:
        raise RuntimeError(f"read {result['rows']} of {events} rows")
    return result["rows"] / result["seconds"]


def latencies(cluster, database, port, count, statement):
    """Runs `statement` so many times, with $1 a number; a POST to `port` must follow each."""
    return _run("latency", port, count, statement, environment=cluster.environment(database))


def signatures():
    """The ways to sign, each with the length of a body and the time of one signature."""
    return _run("sign")


def post(way, url, requests, connections):
    """Posts one event so often, by "http1" or "libcurl" on so many connections; all must be
    answered with 2xx."""
    return _run("client", way, url, requests, connections)
