"""A worker that has given its answer: does it die after all, and of what?"""

from __future__ import annotations

import contextlib
import socket
import time

from fuzz.isolation import autopsy
from fuzz.isolation.preloaded import Preloaded, Worker
from fuzz.verdict import Outcome


def lingered(preloaded: Preloaded | None, worker: Worker, seconds: float) -> Outcome | None:
    """Look at a worker that has answered; return its death as an outcome, None if it lives."""
    return died(worker, seconds) if dies(preloaded, worker, seconds) else None


def ended(preloaded: Preloaded | None, worker: Worker, seconds: float) -> Outcome | None:
    """Let a worker under a command leave; return what the command makes of it, None if fine.

    Tools that watch a process tell by their exit code, when it has ended.
    """
    with contextlib.suppress(OSError):
        worker.connection.shutdown(socket.SHUT_WR)
    if not dies(preloaded, worker, seconds):
        return autopsy.hung(seconds, worker.printed(autopsy.EVIDENCE), seconds)
    return None if worker.death == "exit code 0" else died(worker, seconds)


def dies(preloaded: Preloaded | None, worker: Worker, seconds: float) -> bool:
    """Wait for a worker to die; tell whether it did."""
    end = time.monotonic() + seconds
    while preloaded is not None and not worker.death and not preloaded.gone:
        left = end - time.monotonic()
        if left <= 0:
            break
        preloaded.wait(worker, left)
    return bool(worker.death)


def died(worker: Worker, seconds: float) -> Outcome:
    """Return the death of a worker as an outcome."""
    return autopsy.died(worker.death, worker.printed(autopsy.EVIDENCE), seconds)
