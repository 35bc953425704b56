"""Several targets at the same time, each in a process of its own."""

from __future__ import annotations

import multiprocessing
import os
import signal
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Final, Generic, TypeAlias, TypeVar

from fuzz import interrupts
from fuzz.events import Event, KnownSeen, Listener, Progress
from fuzz.isolation import kernel

MOST: Final = 12
"""Processes with a model at a time, each of 0.7 GiB (torch 2.13.0, on a CPU)."""

T = TypeVar("T")
Work: TypeAlias = Callable[[int, Listener], T]


@dataclass(slots=True)
class _Hand:
    """A process that works on one target after another.

    Attributes:
        process: the process.
        pipe: to it go numbers of targets, from it come events and results.
        at: the target that it is at, None for none.
    """

    process: BaseProcess
    pipe: Connection
    at: int | None = None


@dataclass(frozen=True, slots=True)
class _Done(Generic[T]):
    """What the work on a target gave, on its way back."""

    result: T


@dataclass(slots=True)
class Told:
    """Passes on what several targets tell as of one run.

    Attributes:
        listener: is told the events.
        known: ids of ledger entries that were told.
        cases: generated, by target and property.
    """

    listener: Listener
    known: set[str] = field(default_factory=set)
    cases: dict[tuple[int, str], int] = field(default_factory=dict)

    def __call__(self, number: int, event: Event) -> None:
        """Pass an event of a target on."""
        if isinstance(event, KnownSeen):
            if event.entry.id in self.known:
                return
            self.known.add(event.entry.id)
        if isinstance(event, Progress):
            self.cases[number, event.property] = event.done
            done = sum(self.cases.values())
            event = Progress("several families", done, 0, event.verdict)
        self.listener(event)


def places(targets: int, device: str, sides: int = 1) -> int:
    """Return how many targets to work on at the same time.

    On a CPU one more than there are cores: each waits now and then, for its processes to get ready
    or for the death of one to come late. Elsewhere one, since a device's memory is not ours to
    share out.

    Args:
        targets: how many there are.
        device: where they run.
        sides: processes with a model that each target takes.
    """
    if device != "cpu":
        return 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    return max(1, min(targets, cores + 1, MOST // sides))


def work_off(
    names: Sequence[str], work: Work[T], take: Callable[[int, Event], None], size: int
) -> tuple[dict[int, T], dict[int, str], bool]:
    """Work on targets, some at a time.

    Args:
        names: of the targets, for what is said of one that cannot be finished.
        work: does the work of one target, given its number, in a process of its own; it is told
            of Ctrl-C as this process is, and returns what it has.
        take: is told the events of all, with the number of the target.
        size: how many at a time.

    Returns:
        The results by target, those that there are; what could not be finished, and why; whether
        Ctrl-C ended it.
    """
    context = multiprocessing.get_context("fork")
    results: dict[int, T] = {}
    lost: dict[int, str] = {}
    waiting = list(range(len(names)))
    hands = [_hire(context, work) for _ in range(min(size, len(names)))]
    interrupted = False
    try:
        while True:
            try:
                _go_on(hands, [] if interrupted else waiting, results, lost, take, names)
                break
            except KeyboardInterrupt:
                if interrupted:
                    raise
                # They are in groups of their own, so that each hears of it once, from here.
                interrupted = True
                for hand in hands:
                    if hand.at is not None:
                        os.kill(hand.process.pid or 0, signal.SIGINT)
    finally:
        for hand in hands:
            hand.pipe.close()
            hand.process.kill()
            hand.process.join()
    return results, lost, interrupted


def _go_on(
    hands: Sequence[_Hand],
    waiting: list[int],
    results: dict[int, T],
    lost: dict[int, str],
    take: Callable[[int, Event], None],
    names: Sequence[str],
) -> None:
    """Give out what waits and take in what comes, until nothing does."""
    while True:
        for hand in hands:
            if hand.at is None and waiting and hand.process.is_alive():
                hand.at = waiting.pop(0)
                hand.pipe.send(hand.at)
        busy = {hand.pipe: hand for hand in hands if hand.at is not None}
        if not busy:
            lost.update({n: f"{names[n]}: no process is left to run it" for n in waiting})
            waiting.clear()
            return
        for pipe in wait(list(busy)):
            hand = busy[pipe]  # type: ignore[index]  # only pipes were waited for
            number = hand.at if hand.at is not None else 0
            try:
                came = hand.pipe.recv()
            except (EOFError, OSError):
                hand.process.join()
                code = hand.process.exitcode
                said = f"{names[number]}: the process that ran it died (exit code {code})"
                lost[number] = said
                hand.at = None
                continue
            if isinstance(came, _Done):
                results[number], hand.at = came.result, None
            elif isinstance(came, str):
                lost[number] = f"{names[number]}: {came}"
                hand.at = None
            else:
                take(number, came)


def _hire(context: multiprocessing.context.ForkContext, work: Work[T]) -> _Hand:
    ours, theirs = context.Pipe()
    arguments = (os.getpid(), theirs, ours, work)
    process = context.Process(target=_serve, args=arguments, daemon=True)
    process.start()
    theirs.close()
    return _Hand(process, ours)


def _serve(parent: int, pipe: Connection, other_end: Connection, work: Work[T]) -> None:
    """Work on what comes, until nothing can any more."""
    kernel.die_with(parent)
    os.setpgrp()
    other_end.close()

    def tell(said: Event | _Done[T] | str) -> None:
        # A message that Ctrl-C cuts short could not be read.
        with interrupts.held():
            pipe.send(said)

    while True:
        try:
            number = pipe.recv()
        except (EOFError, OSError, KeyboardInterrupt):
            return
        try:
            tell(_Done(work(number, tell)))
        except BrokenPipeError:
            return
        except BaseException as error:  # whatever it is, it is told over there
            details = traceback.format_exc().strip().splitlines()
            where = details[-2].strip() if len(details) > 1 else ""
            tell(f"{type(error).__name__}: {error} ({where})")
