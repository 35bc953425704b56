"""A worker module without torch: each property id names what the worker is to do.

The target's family does the same for loading and preparing.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fuzz.worker import faults

SITE = "/v/lib/python3/site-packages"
_poisoned = ""
_asked = 0
_loaded_in = 0
_kept: list[bytearray] = []


class WorkerSetupError(Exception):
    """As the real worker module raises it: the message is meant for a person."""


class OddError(Exception):
    """An exception that cannot even be printed."""

    def __str__(self) -> str:
        """Fail."""
        raise RuntimeError("no text")


def load(target: dict[str, Any]) -> dict[str, Any]:
    """Print, then load or fail as the family says."""
    global _loaded_in
    again, _loaded_in = _loaded_in == os.getpid(), os.getpid()
    print("printed while loading")
    os.write(1, b"written while loading\n")
    match target["family"]:
        case "load-first" if again:
            os.abort()
        case "load-usage":
            raise WorkerSetupError("family 'load-usage' needs a newer release")
        case "load-broken":
            raise ImportError("no module named 'torchh'")
        case "load-dies":
            os.write(2, b"undefined symbol: aten\n")
            os.abort()
        case "load-hangs":
            marker = os.environ.get("FAKE_WORKER_MARKER")
            if marker:
                Path(marker).write_text("loading")
            _spin()
        case "load-exits":
            sys.exit(3)
        case "load-slowly":
            time.sleep(1.0)
    return {"fake": "1.0", "environment": dict(os.environ), "path": sys.path}


def prepare(target: dict[str, Any]) -> dict[str, Any]:
    """Prepare or fail as the family says."""
    match target["family"]:
        case "prepare-usage":
            raise WorkerSetupError("device 'cuda:9' does not exist")
        case "prepare-broken":
            raise ValueError("hidden_size must be divisible by num_heads")
        case "prepare-dies":
            os.write(2, b"error: cannot allocate\n")
            os.abort()
        case "prepare-hangs":
            _spin()
        case "fork-hangs" if os.getpid() != _loaded_in:
            threading.Event().wait()  # as on a lock that a thread of the parent held
        case "fork-breaks" if os.getpid() != _loaded_in:
            raise RuntimeError("Cannot re-initialize CUDA in forked subprocess")
        case "prepare-works-long":
            end = time.monotonic() + 1.0
            while time.monotonic() < end:
                pass
    if marker := os.environ.get("FAKE_WORKER_PREPARED"):
        with Path(marker).open("a") as file:
            file.write(f"{os.getpid()}\n")
    return {"prepared": target["family"], "pid": os.getpid()}


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Do what the property names, and pass if that can be survived."""
    global _asked
    _asked += 1
    if request["op"] == "echo":
        return {"echo": request["text"]}
    if request["op"] == "facts":
        return _facts()
    return DEEDS[request["property"]]() or outcome(f"pid {os.getpid()}, request {_asked}")


def poisoned() -> str:
    """Return what a deed has left."""
    if _poisoned == "probe raises":
        raise RuntimeError("CUDA error: device-side assert triggered")
    return _poisoned


def outcome(message: str = "") -> dict[str, Any]:
    """Return an answer that passes."""
    plain = {"verdict": "pass", "message": message, "signature": None}
    return {"outcome": {**plain, "details": "", "seconds": 0.001}}


def in_transformers(deed: Callable[[], Any], family: str = "fake") -> Callable[[], Any]:
    """Return a function that calls another from what looks like a file of transformers."""
    source = "def forward():\n    return deed()\n"
    names: dict[str, Any] = {"deed": deed}
    file = f"{SITE}/transformers/models/{family}/modeling_{family}.py"
    exec(compile(source, file, "exec"), names)  # noqa: S102 - a fixed text, for its file name
    forward: Callable[[], Any] = names["forward"]
    return forward


def _facts() -> dict[str, Any]:
    status = Path("/proc/self/status").read_text()
    return {
        "pid": os.getpid(),
        "parent": os.getppid(),
        "session": os.getsid(0),
        "descriptors": {p.name: _link(p) for p in Path("/proc/self/fd").iterdir()},
        "ignores_interrupt": signal.getsignal(signal.SIGINT) == signal.SIG_IGN,
        "oom_score_adj": Path("/proc/self/oom_score_adj").read_text().strip(),
        "loaded_here": os.getpid() == _loaded_in,
        "core_limit": resource.getrlimit(resource.RLIMIT_CORE)[0],
        "threads": int(status.split("Threads:")[1].split()[0]),
    }


def _link(descriptor: Path) -> str:
    try:
        return str(descriptor.readlink())
    except OSError:
        return ""  # the one that listed the folder


def _connection() -> socket.socket:
    (found,) = [fd for fd, link in _facts()["descriptors"].items() if link.startswith("socket:")]
    return socket.socket(fileno=os.dup(int(found)))


def _spin() -> None:
    while True:
        pass


def _abort() -> None:
    os.write(2, b"noise before\nfile.cu:12: block [3,0,0] Assertion `index < 151936` failed.\n")
    os.abort()


def _ignore_all_signals() -> None:
    for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_IGN)
    signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
    _spin()


def _flood_and_abort() -> None:
    faults.flood()
    os.write(2, b"\nCUDA error: misaligned address\n")
    os.abort()


def _write_raw(data: bytes) -> Callable[[], None]:
    def deed() -> None:
        _connection().sendall(data)
        time.sleep(60)

    return deed


def _framed(body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + body


def _raise(error: BaseException) -> Callable[[], None]:
    def deed() -> None:
        raise error

    return deed


def _poison(text: str) -> Callable[[], None]:
    def deed() -> None:
        global _poisoned
        _poisoned = text

    return deed


def _hoard() -> None:
    # Small steps, each touched, so that the limit is passed while somebody looks.
    while True:
        _kept.append(bytearray(b"x" * 2**20))
        time.sleep(0.001)


def _hoard_output() -> None:
    while True:
        os.write(1, b"o" * 2**20)
        time.sleep(0.001)


def _start_grandchild(
    own_session: bool, then: Callable[[], dict[str, Any] | None]
) -> Callable[[], Any]:
    def deed() -> dict[str, Any]:
        process = subprocess.Popen(["/bin/sleep", "300"], start_new_session=own_session)
        return then() or outcome(str(process.pid))

    return deed


def _cut_off() -> None:
    _connection().sendall(b"\x00\x00\x01\x00{")
    os._exit(0)


def _close_connection() -> None:
    for fd, link in _facts()["descriptors"].items():
        if link.startswith("socket:"):
            os.close(int(fd))
    time.sleep(60)


def _claim_a_failure() -> dict[str, Any]:
    _poison("CUDA error: device-side assert triggered at 0x7f12")()
    return outcome("claims to have passed")


def _close_output() -> None:
    os.close(1)
    os.close(2)


def _poison_and_raise() -> None:
    _poison("CUDA error")()
    raise ValueError("late")


def _stop_self() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def _interrupt_driver_and_hang() -> None:
    os.kill(int(os.environ["FAKE_WORKER_DRIVER"]), signal.SIGINT)
    _spin()


def _die_later() -> None:
    def die() -> None:
        time.sleep(0.2)
        os.abort()

    threading.Thread(target=die).start()


def _nothing() -> None:
    return None


DEEDS: dict[str, Callable[[], Any]] = {
    "pass": _nothing,
    "abort": _abort,
    "abort-in-model": in_transformers(_abort),
    "segfault-in-model": in_transformers(faults.segfault),
    "exit": lambda: os._exit(0),
    "sys-exit": _raise(SystemExit(4)),
    "kill-self": faults.killed,
    "hang": in_transformers(_spin),
    "hang-ignoring-signals": _ignore_all_signals,
    "hang-with-lock": in_transformers(faults.hang_with_lock),
    "hang-stopped": _stop_self,
    "flood": faults.flood,
    "flood-and-abort": _flood_and_abort,
    "close-output": _close_output,
    "unserialisable": lambda: {"outcome": object()},
    "huge": lambda: {"outcome": "x" * (17 * 2**20)},
    "no-object": lambda: ["outcome"],
    "odd-verdict": lambda: {"outcome": {**outcome()["outcome"], "verdict": "maybe"}},
    "no-outcome": lambda: {"outcome": {"verdict": "pass"}},
    "wrong-id": _write_raw(_framed(json.dumps({"id": 0, "answer": {}}).encode())),
    "garbage": _write_raw(_framed(b"{not json")),
    "huge-frame": _write_raw(b"\xff\xff\xff\xff"),
    "cut-off": _cut_off,
    "close-connection": _close_connection,
    "raise": _raise(ZeroDivisionError("division by zero")),
    "raise-odd": _raise(OddError()),
    "memory-error": _raise(MemoryError("cannot allocate 9 GiB")),
    "poison": _claim_a_failure,
    "poison-and-raise": _poison_and_raise,
    "poison-probe": _poison("probe raises"),
    "kill-preloaded": faults.preload_killed,
    "hoard": _hoard,
    "hoard-output": _hoard_output,
    "grandchild": _start_grandchild(False, _nothing),
    "daemon": _start_grandchild(True, _nothing),
    "daemon-and-abort": _start_grandchild(True, os.abort),
    "die-later": _die_later,
    "interrupt-driver-and-hang": _interrupt_driver_and_hang,
}
