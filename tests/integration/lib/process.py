"""Child processes that never outlive the test run, and free ports."""

import atexit
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

from . import wait

ROOT = Path(__file__).resolve().parents[3]
BUILD = Path(os.environ.get("BUILD", ROOT / "build"))
if not BUILD.is_absolute():
    BUILD = ROOT / BUILD

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def _die_with_parent():
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def start(command, **options):
    """subprocess.Popen of a child that gets SIGTERM when this process dies. The kernel ties that to
    the calling thread: call it from one that lives as long as the child should."""
    return subprocess.Popen([str(part) for part in command], preexec_fn=_die_with_parent, **options)


def stop(process, stop_signal=signal.SIGTERM, timeout_s=20):
    """Ends a child and returns its exit status; kills it, and says so, when it does not obey."""
    if process.poll() is None:
        process.send_signal(stop_signal)
    try:
        return process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise AssertionError(f"{process.args[0]} did not stop in {timeout_s} s: killed") from None


def _has_stopped(pid):
    # The state comes after the name, which may have spaces and parentheses of its own.
    return all(stat.read_text().rpartition(")")[2].split()[0] == "T"
               for stat in Path(f"/proc/{pid}/task").glob("*/stat"))


def freeze(pid):
    """SIGSTOP; returns when every thread has stopped, for on a busy machine one may still go on for a
    moment. SIGCONT wakes them."""
    os.kill(pid, signal.SIGSTOP)
    wait.until(lambda: _has_stopped(pid), 10, f"process {pid} to stop")


def directory(name):
    """A new directory for logs and the like; gone at the end of the run unless KEEP_LOGS is set."""
    path = Path(tempfile.mkdtemp(prefix=f"shop-{name}-"))
    if not os.environ.get("KEEP_LOGS"):
        atexit.register(shutil.rmtree, path, ignore_errors=True)
    return path


def sanitizer_options():
    """What a program built with sanitizers is to know of the environment."""
    return {name: value for name, value in os.environ.items() if "SAN_OPTIONS" in name}


def free_port():
    """A TCP port of the loopback address that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def binary(name):
    """The path of a built program."""
    path = BUILD / "bin" / name
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing: run make first")
    return path
