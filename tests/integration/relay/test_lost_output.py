"""What the command line does when its cannot write to standard output."""

import os
import subprocess

import pytest

from command_line import CommandLine
from lib import process

NOWHERE = f"http://127.0.0.1:{process.free_port()}/events"
FULL = "No space left on device"


@pytest.fixture(name="run", scope="module")
def fixture_run(pg):
    made = CommandLine(pg, "command_line_output")
    made("init")
    made("subscribe", "billing", "--url", NOWHERE)
    return made


def full(run, *words, source=True):
    """Status and standard error of a command that writes to a full disk."""
    with open("/dev/full", "wb") as disk:
        return outcome(run, disk, words, source)


def gone(run, *words):
    """The same for a command whose reader has gone."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        return outcome(run, writer, words)
    finally:
        os.close(writer)


def outcome(run, stdout, words, source=True):
    command = [process.binary("outbox-relay"), *words, *(["--source", run.dsn] if source else [])]
    done = subprocess.run(command, stdout=stdout, stderr=subprocess.PIPE, text=True, timeout=60,
                          check=False)
    return done.returncode, done.stderr


@pytest.mark.parametrize("words", [["status"], ["status", "--json"], ["status", "--watch"],
                                   ["subscriptions"], ["pause", "billing"], ["init"]])
def test_a_full_disk_is_exit_1_and_one_line(run, words):
    assert full(run, *words) == (
        1, f"outbox-relay {words[0]}: cannot write to standard output: {FULL}\n")


@pytest.mark.parametrize("word", ["--help", "--version"])
def test_so_it_is_without_a_command(run, word):
    assert full(run, word, source=False) == (
        1, f"outbox-relay: cannot write to standard output: {FULL}\n")


def test_much_output_is_no_exception(run):
    run.pg.query(run.database, "select outbox.emit('order', i::text, 'order.created', '{}')"
                 "  from generate_series(1, 200) i")
    status, error = full(run, "events", "--limit", "1000")
    assert status == 1 and error.count("\n") == 1 and FULL in error


def test_a_reader_that_has_seen_enough_is_no_failure(run):
    assert gone(run, "status") == (0, "")
    assert gone(run, "status", "--watch") == (0, "")


def test_a_secret_that_nobody_sees_does_not_come_into_force(run):
    before = run.json("secrets")
    for lose in (full, gone):
        for words in (["secrets", "billing", "--rotate"],
                      ["secrets", "billing", "--rotate", "--json"],
                      ["subscribe", "lost", "--url", NOWHERE],
                      ["subscribe", "lost", "--url", NOWHERE, "--json"]):
            status, error = lose(run, *words)
            assert status == 1 and error.count("\n") == 1
            assert "nothing has changed, try again" in error
    assert run.json("secrets") == before
    assert [row["name"] for row in run.json("subscriptions")] == ["billing"]
