"""The few things asked of Linux that the standard library does not offer."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import time
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def die_with(parent: int) -> None:
    """Have the kernel kill this process when its parent's main thread ends.

    Leaves at once when the parent is already gone.
    """
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent dies."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def offer_to_oom_killer() -> None:
    """Ask to be killed first when memory runs out; not being allowed to is fine."""
    try:
        Path("/proc/self/oom_score_adj").write_text("1000")
    except OSError:
        return


def no_core_dumps() -> None:
    """Leave no core file behind at a death: one of a process that holds torch takes gigabytes."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def children() -> list[int]:
    """Return the process ids of this process's children; empty where the kernel hides them."""
    try:
        return [
            int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
        ]
    except OSError:
        return []


def descendants(pid: int) -> list[int]:
    """Return the living processes below another one, whatever session they are in."""
    parents = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            status = (folder / "stat").read_text()
        except OSError:
            continue  # it has ended since
        # The name, in parentheses, may hold spaces and parentheses; state and parent follow.
        state, parent = status.rpartition(")")[2].split()[:2]
        if state not in "ZX":
            parents[int(folder.name)] = int(parent)
    found = [pid]
    for above in found:
        found += [below for below, parent in parents.items() if parent == above]
    return found[1:]


def carrying(name: str, value: str) -> list[int]:
    """Return the living processes that were started with an environment variable set so."""
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            if f"{name}={value}".encode() in (folder / "environ").read_bytes():
                found.append(int(folder.name))
        except OSError:
            continue  # it has ended, or is somebody else's
    return found


def used_ticks(pid: int) -> int:
    """Return the processor time that a process has used, in clock ticks; -1 when it is gone.

    One that waits for a disk (state D) counts as at work: its number then differs each time.
    """
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return -1
    # The name, in parentheses, may hold spaces and parentheses; utime and stime are fields 14, 15.
    fields = status.rpartition(")")[2].split()
    waiting = time.monotonic_ns() if fields[0] == "D" else 0
    return int(fields[11]) + int(fields[12]) + waiting


def thread_count() -> int:
    """Return how many threads this process has."""
    return len(list(Path("/proc/self/task").iterdir()))


def _prctl(option: int, value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, value, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
