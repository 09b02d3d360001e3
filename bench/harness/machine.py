"""What was measured on, and with what."""

import datetime
import os
import re
import subprocess
from pathlib import Path

from lib import pg, process


def _output(*command):
    try:
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True,
                              check=False)
    except FileNotFoundError:
        return "none"
    return (done.stdout + done.stderr).strip().splitlines()[0]


def _peer(package):
    from . import peers
    try:
        return peers.version(package)
    except FileNotFoundError:
        return "not installed"


def _node():
    from . import peers
    try:
        return _output(peers.node(), "--version")
    except FileNotFoundError:
        return "not installed"


def stolen_s():
    """Seconds that the hypervisor gave to others while this machine's processors had work, since its
    start, of all processors together. What they cost shows in the tails of latencies first."""
    names = "cpu user nice system idle iowait irq softirq steal".split()
    first_line = Path("/proc/stat").read_text().splitlines()[0].split()
    return int(first_line[names.index("steal")]) / os.sysconf("SC_CLK_TCK")


def describe(directory):
    cpu = re.search(r"model name\s*:\s*(.*)", Path("/proc/cpuinfo").read_text())
    memory = int(re.search(r"MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text())[1])
    osrelease = re.search(r'PRETTY_NAME="(.*)"', Path("/etc/os-release").read_text())
    return {
        "date": datetime.date.today().isoformat(),
        "cpu": f"{len(os.sched_getaffinity(0))} × {cpu[1] if cpu else os.uname().machine}",
        "memory": f"{memory / (1 << 20):.0f} GiB",
        "system": f"{osrelease[1] if osrelease else 'Linux'}, Linux {os.uname().release}",
        "data": "tmpfs" if directory == "/dev/shm" else directory,
        "relay": _output(process.binary("outbox-relay"), "--version"),
        "PostgreSQL": _output(pg.bin_directory() / "postgres", "--version"),
        "nginx": _output("/usr/sbin/nginx", "-v"),
        "libcurl": _output("curl-config", "--version"),
        "Node.js (peers)": _node(),
        "Graphile Worker": _peer("graphile-worker"),
        "pg-boss": _peer("pg-boss"),
        "undici": _peer("undici"),
    }
