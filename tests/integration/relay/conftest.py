"""A database with an outbox, relays as processes, and a receiver, new for each test."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from command_line import CommandLine  # noqa: E402
from published import Outbox  # noqa: E402
from receiver import Receiver  # noqa: E402


@pytest.fixture(name="outbox")
def fixture_outbox(pg, tmp_path, request):
    """With the PL/pgSQL outbox.emit unless a test asks for both_emits."""
    made = Outbox(pg, tmp_path)
    if getattr(request, "param", "plpgsql") == "native":
        made.make_native()
    yield made
    made.close()


@pytest.fixture(name="run")
def fixture_run(outbox):
    """run(command, ...): the command line, on the database of `outbox`."""
    made = CommandLine.__new__(CommandLine)
    made.pg, made.database, made.dsn = outbox.pg, outbox.database, outbox.dsn
    return made


@pytest.fixture(name="receiver")
def fixture_receiver():
    made = Receiver()
    yield made
    made.stop()


@pytest.fixture(name="receivers")
def fixture_receivers():
    """receivers(): another receiver."""
    made = []

    def make():
        made.append(Receiver())
        return made[-1]

    yield make
    for receiver in made:
        receiver.stop()
