"""The faults of :mod:`fuzz.faults` that need no torch, each a function that brings it about now."""

from __future__ import annotations

import ctypes
import faulthandler
import json
import os
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

ASSERTION: Final = (
    "Indexing.cu:1553: indexSelectLargeIndex: block: [0,0,0], thread: [0,0,0] "
    "Assertion `srcIndex < srcSelectDimSize` failed.\n"
)
"""A kernel's last words, in the form in which CUDA's printf writes an assertion to stderr."""

_kept: list[bytes] = []


def segfault() -> None:
    """Read address 0."""
    ctypes.string_at(0)


def abort() -> None:
    """Print a kernel's assertion and abort."""
    os.write(2, ASSERTION.encode())
    os.abort()


def killed() -> None:
    """Be killed as by the kernel."""
    os.kill(os.getpid(), signal.SIGKILL)


def leave() -> None:
    """Exit with 0 and without an answer."""
    os._exit(0)


def terminate() -> None:
    """Throw a C++ exception through frames that do not catch it."""
    throw = ctypes.CDLL("libstdc++.so.6")._ZSt21__throw_runtime_errorPKc
    throw.argtypes = [ctypes.c_char_p]
    throw(b"CUDA error: an illegal memory access was encountered")


def stack_overflow() -> None:
    """Call a C function that calls itself."""
    faulthandler._stack_overflow()  # type: ignore[attr-defined]  # CPython's own, for its tests


def memory_error() -> None:
    """Ask Python for more memory than there can be."""
    bytearray(2**62)


def memory_limit() -> None:
    """Take memory in small steps, each touched, so that a limit is passed while one looks."""
    while True:
        _kept.append(b"x" * 2**22)


def hang() -> None:
    """Never come back."""
    while True:
        time.sleep(3600)


def hang_in_c() -> None:
    """Wait in C and ignore every signal that can be ignored."""
    for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_IGN)
    ctypes.CDLL(None).poll(None, 0, -1)


def hang_with_lock() -> None:
    """Wait in C without giving up the interpreter lock, as a stuck kernel launch does."""
    ctypes.PyDLL(None).poll(None, 0, -1)


def flood() -> None:
    """Write ten megabytes of bytes that are no text to both outputs, without a line's end."""
    for _ in range(80):
        os.write(1, b"\xfe" * 65536)
        os.write(2, b"\x00" * 65536)


def flood_and_abort() -> None:
    """The same, then die."""
    flood()
    os.write(2, b"\n" + ASSERTION.encode())
    os.abort()


def orphan_and_abort() -> None:
    """Start a process that leaves the worker's session, then die."""
    subprocess.Popen(["/bin/sleep", "300"], start_new_session=True)
    abort()


def wrong_answer() -> None:
    """Send an answer to a request that was never made."""
    body = json.dumps({"id": 0, "answer": {}}).encode()
    _connection().sendall(struct.pack(">I", len(body)) + body)


def preload_killed() -> None:
    """Kill the preloaded process, and wait for what follows."""
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(60)


def _connection() -> socket.socket:
    """Return the worker's connection to the driver: the one socket that it has."""
    for descriptor in Path("/proc/self/fd").iterdir():
        try:
            if str(descriptor.readlink()).startswith("socket:"):
                return socket.socket(fileno=os.dup(int(descriptor.name)))
        except OSError:
            continue  # the one that listed the folder
    raise LookupError("no socket is open")


DEEDS: Final[dict[str, Callable[[], None]]] = {
    "segfault": segfault,
    "abort": abort,
    "killed": killed,
    "exit": leave,
    "terminate": terminate,
    "stack-overflow": stack_overflow,
    "memory-error": memory_error,
    "memory-limit": memory_limit,
    "hang": hang,
    "hang-in-c": hang_in_c,
    "hang-with-lock": hang_with_lock,
    "flood": flood,
    "flood-and-abort": flood_and_abort,
    "orphan-and-abort": orphan_and_abort,
    "wrong-answer": wrong_answer,
    "preload-killed": preload_killed,
}
