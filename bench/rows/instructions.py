"""What emit costs in instructions: callgrind counts them on a server in single-user mode, so that
the figures do not depend on what else the machine does."""

import re
import shutil
import subprocess
from pathlib import Path

from harness.figures import Figure, Table, ratio
from lib import pg
from rows import emit

TITLE = "Instructions of a transaction with one event"
QUESTION = "What does emitting an event cost the server's processor, beside an INSERT?"

# The difference between two runs leaves start and end of the server out.
FEW, MANY = 500, 1500
OWNER = "bench"  # of the outbox and the tables
CASES = {event: case for event, case in emit.EVENTS.items() if len(case[0]) == 1}


def _input(statement, transactions):
    """Each line is a transaction. Plans are generic after five executions."""
    lines = (line for line in statement.splitlines() if not line.startswith("--"))
    prepared = " ".join(lines).replace(":key::text", "$1")
    keys = ((number * 7919) % 10_000 for number in range(transactions))
    return "\n".join([
        f"set session authorization {OWNER}",
        f"prepare event(text) as {prepared.strip().rstrip(';')}",
        *(f"execute event('{key}')" for key in keys), ""])


def _count(cluster, text):
    done = subprocess.run(
        [*pg.as_postgres(), shutil.which("valgrind"), "--tool=callgrind",
         "--callgrind-out-file=/dev/null", pg.bin_directory() / "postgres", "--single",
         "-D", cluster.data, cluster.database],
        input=text, capture_output=True, text=True, check=True, cwd="/")
    if "ERROR" in done.stderr + done.stdout:
        raise RuntimeError(done.stderr)
    return int(re.search(r"Collected : (\d+)", done.stderr).group(1))


def run(bench):
    if not shutil.which("valgrind"):
        raise FileNotFoundError("valgrind is missing: install Debian's valgrind")
    few, many = bench.size(FEW, 10), bench.size(MANY, 20)
    cluster = bench.cluster(autovacuum="off")
    relay = bench.relay(cluster)
    cluster.execute(emit.TABLES)
    figures = {}
    for event, ((name,), native) in CASES.items():
        if native is not None:
            relay.use_native_emit(native)
        cluster.settle()
        cluster.halt()
        statement = (Path(emit.SQL) / f"{name}.sql").read_text()
        counts = [_count(cluster, _input(statement, size)) for size in (few, many)]
        figures[event] = Figure([round((counts[1] - counts[0]) / (many - few) / 100) * 100])
        cluster.start()
    return Table(["the event by", "instructions of a transaction", "INSERT = 1.0"], [
        [event, figure, ratio(figure, figures[emit.PLAIN])] for event, figure in figures.items()
    ], [], ["Reading and parsing the statement's line is a part of all of them."])
