"""Processor time and memory of running processes, from /proc."""

import os
from pathlib import Path

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def _stat(pid):
    # The name is in parentheses and may hold anything; the fields are counted after it.
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def cpu_s(pid):
    """Seconds on a processor, of the process and of the children it has reaped."""
    fields = _stat(pid)
    return sum(int(fields[i]) for i in (11, 12, 13, 14)) * _TICK_S


def children(pid):
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in found.split()]


def tree_cpu_s(pid):
    """The same with all living descendants."""
    total = cpu_s(pid)
    for child in children(pid):
        try:
            total += tree_cpu_s(child)
        except FileNotFoundError:
            pass  # ended meanwhile: its parent has the time, the next measurement sees it
    return total


def memory_mib(pid, field="VmRSS"):
    """VmRSS: resident now; VmHWM: the most there has been."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) / 1024
    raise ValueError(f"no {field} of process {pid}")
