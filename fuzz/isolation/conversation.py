"""One request and its answer, or the reason why there is none."""

from __future__ import annotations

import select
import socket
import time
from typing import Any, Final

from fuzz.isolation import autopsy, wire
from fuzz.isolation.errors import NoAnswer
from fuzz.isolation.preloaded import END_SECONDS, Preloaded, Worker
from fuzz.verdict import Outcome

_LOOK: Final = 0.1  # seconds between two looks at a worker's memory
_GRACE: Final = 1.0  # seconds after a deadline for the stack to be written down
_GLANCE: Final = 0.02  # seconds between two looks for that stack
_LEAVING: Final = 120.0  # seconds that a command around a worker may take to sum up
_MIB: Final = 2**20


class Lost(Exception):
    """The worker must be replaced.

    Attributes:
        outcome: what a check reports, which says why.
    """

    def __init__(self, outcome: Outcome) -> None:
        """Take what a check reports."""
        super().__init__(outcome.message)
        self.outcome = outcome


def converse(
    preloaded: Preloaded,
    worker: Worker,
    request: dict[str, Any],
    deadline: float,
    limit_mib: int,
) -> tuple[dict[str, Any], float]:
    """Send a request, wait for the answer; return it and the seconds it took.

    Args:
        preloaded: the process that forked the worker.
        worker: whom to ask.
        request: what to ask; its "id" must differ from those before.
        deadline: seconds until the worker counts as hung.
        limit_mib: memory, beyond what it held when it was ready, at which it counts as out of it.

    Raises:
        NoAnswer: there is none, and the worker is as good as before.
        Lost: there is none, and the worker must be replaced.
    """
    try:
        data = wire.frame({**request, "deadline": deadline})
    except wire.WireError as error:
        raise NoAnswer(autopsy.broken(f"the request cannot be sent: {error}")) from None
    started = time.monotonic()
    _send(worker, data, started + deadline)
    reply = _listen(preloaded, worker, started, deadline, limit_mib)
    seconds = time.monotonic() - started
    return _answer_in(reply, request["id"], worker, seconds), seconds


def _listen(
    preloaded: Preloaded, worker: Worker, started: float, deadline: float, limit_mib: int
) -> dict[str, Any]:
    end = started + deadline
    look = started + _LOOK
    ended = 0.0
    size = -1
    while True:
        try:
            if (reply := worker.frames.take()) is not None:
                return reply
        except wire.WireError as error:
            raise _lost(f"the worker sent garbage: {error}", worker, started) from None
        now = time.monotonic()
        if preloaded.gone:
            raise _lost(f"the preloaded process died by {preloaded.death()}", worker, started)
        if worker.ended:
            if worker.death:
                printed = worker.printed(autopsy.EVIDENCE)
                raise Lost(autopsy.died(worker.death, printed, now - started))
            ended = ended or now
            if now > ended + (_LEAVING if worker.wrapped else END_SECONDS):
                raise _lost("the worker closed its connection, but lives", worker, started)
        late = now >= end and not worker.ended
        if now >= look or late:
            # Before it counts as hung: one that takes memory without end does that too.
            look = now + _LOOK
            held = worker.memory() - worker.idle_bytes + worker.output_size()
            if held > limit_mib * _MIB:
                text = worker.printed()
                seconds = now - started
                raise Lost(autopsy.overran_memory(limit_mib, text, seconds))
        if late:
            # Its stack comes in pieces: it is complete when nothing has been added.
            before, size = size, worker.output_size()
            printed = worker.printed(autopsy.EVIDENCE) if size == before else ""
            if autopsy.DUMP_STARTED in printed or now > end + _GRACE:
                printed = printed or worker.printed(autopsy.EVIDENCE)
                raise Lost(autopsy.hung(deadline, printed, now - started))
        until = min(look, end) if now < end else now + _GLANCE
        preloaded.wait(worker, until - now)


def _lost(message: str, worker: Worker, started: float) -> Lost:
    return Lost(autopsy.broken(message, worker.printed(), time.monotonic() - started))


def _send(worker: Worker, data: bytes, end: float) -> None:
    """Send to a worker; what keeps it from being sent is found when listening to it."""
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[worker.connection.send(rest, socket.MSG_DONTWAIT) :]
        except BlockingIOError:
            poller = select.poll()
            poller.register(worker.connection, select.POLLOUT)
            if not poller.poll(max(0.0, end - time.monotonic()) * 1000):
                return
        except ConnectionError:
            return


def _raised_in(reply: dict[str, Any]) -> str:
    """Return the message of the outcome in a reply, "" when there is none."""
    answer = reply.get("answer")
    outcome = answer.get("outcome") if isinstance(answer, dict) else None
    return str(outcome.get("message", "")) if isinstance(outcome, dict) else ""


def _answer_in(
    reply: dict[str, Any], number: int, worker: Worker, seconds: float
) -> dict[str, Any]:
    if reply.get("id") != number:
        text = f"the worker answered request {reply.get('id')!r}, asked was {number}"
        raise Lost(autopsy.broken(text, worker.printed(), seconds))
    if reply.get("poisoned"):
        # Whatever else it says was computed on a device that no longer works.
        text = str(reply["poisoned"])
        raise Lost(autopsy.poisoned(text, _raised_in(reply), worker.printed(), seconds))
    details = str(reply.get("details", ""))
    if "oom" in reply:
        raise Lost(autopsy.ran_out_of_memory(str(reply["oom"]), details, seconds))
    if "broken" in reply:
        raise NoAnswer(autopsy.broken(str(reply["broken"]), details, seconds))
    answer = reply.get("answer")
    if not isinstance(answer, dict):
        text = f"the worker's answer is not an object but {type(answer).__name__}"
        raise NoAnswer(autopsy.broken(text, seconds=seconds))
    return answer
