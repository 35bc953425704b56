"""The driver's side: checks cases in worker processes, and answers for those that die."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any, Final, get_args

from fuzz.isolation import autopsy, late
from fuzz.isolation.conversation import Lost, converse
from fuzz.isolation.deadline import Deadline
from fuzz.isolation.errors import NoAnswer
from fuzz.isolation.idle import Idle
from fuzz.isolation.journal import Journal, WritingDown
from fuzz.isolation.memory import Memory, measure
from fuzz.isolation.pool import Pool, Settings
from fuzz.isolation.preloaded import Preloaded, Worker
from fuzz.isolation.told import LateDeath, Ran, Ready
from fuzz.target import Target, target_to_plain
from fuzz.verdict import Kind, Outcome, outcome_from_plain
from strategies.case import Case, to_plain

LINGER: Final = 0.5
"""Seconds for which a process is watched after its answer, where a death may come late."""

BLOCKING: Final = {"CUDA_LAUNCH_BLOCKING": "1"}
"""Has a kernel's error raised by the call that started it, not by a later one."""


class Supervisor:
    """Checks cases against one target, each in a process that may die.

    Use it as a context manager and call :meth:`start` first. It is for one thread. Nothing it
    started is left behind: not after :meth:`close`, not when the driver is killed.

    Attributes:
        predecessor: what the worker of the latest :meth:`check` had been given before, None if
            nothing.
        in_hand: the smallest case of a failure that is being made smaller, None while there is
            none; the journal has it beside the case that runs.
        gave: what the latest check of ``version_agreement`` gave, to be compared elsewhere; empty
            where a check gives nothing but its outcome.
        watch: told by file which lines of transformers each check ran; None where nobody asks,
            since it costs time. Of a check whose process died there are none.
    """

    def __init__(
        self,
        target: Target,
        *,
        worker_module: str = "fuzz.worker.serve",
        journal: Journal | None = None,
        deadline: Deadline | None = None,
        memory_limit_mib: int = 8192,
        python: str = sys.executable,
        pythonpath: Sequence[str] = (),
        setup_seconds: float = 300.0,
        idle_seconds: float = 20.0,
        fresh_process: bool = False,
        wrap: Sequence[str] = (),
        notify: Callable[[str], None] = lambda _: None,
        idle: Idle | None = None,
    ) -> None:
        """Take the settings; nothing is started yet.

        Args:
            target: what the cases run against.
            worker_module: the module to load; see :mod:`fuzz.isolation.serve_requests`.
            journal: where each case is written down before it runs. It stays the caller's.
            deadline: how long a case may take.
            memory_limit_mib: what cases may make a worker hold, its captured output included.
            python: the interpreter of the environment to run in.
            pythonpath: folders that come first on its import path.
            setup_seconds: how long loading, and preparing, may each take.
            idle_seconds: see :class:`~fuzz.isolation.pool.Settings`.
            fresh_process: run every case in a fresh interpreter of its own, which shares nothing
                with any other and costs seconds.
            wrap: a command, word by word, to put before the interpreter of each worker. Every
                case then runs in one of its own, and the command's exit code counts as well.
            notify: told in one line what a user should know.
            idle: see :class:`~fuzz.isolation.pool.Pool`.
        """
        self._target = target_to_plain(target)
        self._write_down = WritingDown(journal, self._target, notify)
        self._deadline = deadline or Deadline()
        self._memory_limit_mib = memory_limit_mib
        self._fresh_process = fresh_process or bool(wrap)
        self._pool = Pool(
            Settings(
                self._target,
                worker_module,
                python,
                pythonpath,
                setup_seconds,
                idle_seconds,
                fresh_process,
                tuple(wrap),
            ),
            notify,
            idle,
        )
        self._requests = 0
        self._ran: Ran | None = None
        self._late: list[LateDeath] = []
        self._hung = False
        self.ready: Ready | None = None
        self.predecessor: Ran | None = None
        self.in_hand: Ran | None = None
        self.gave: dict[str, Any] = {}
        self.watch: Callable[[Mapping[str, Sequence[int]]], None] | None = None

    def __enter__(self) -> Supervisor:
        """Return itself, not started."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()

    @property
    def worker_pid(self) -> int | None:
        """The process id of the worker in use."""
        return self._pool.current.pid if self._pool.current else None

    @property
    def forks(self) -> int:
        """How many workers were started."""
        return self._pool.forks

    @property
    def restarts(self) -> int:
        """How many workers in use were replaced because they were lost."""
        return self._pool.restarts

    @property
    def preloads(self) -> int:
        """How often the preloaded process was started."""
        return self._pool.preloads

    @property
    def unkillable(self) -> Sequence[int]:
        """Process ids of killed workers that were not seen to die."""
        return tuple(self._pool.unkillable)

    def start(self) -> Ready:
        """Load the worker module and prepare the first worker.

        Raises:
            SetupProblem: no worker can be had for this target.
            RuntimeError: it is started already.
        """
        if self._pool.preloaded is not None:
            raise RuntimeError("the supervisor is started already")
        started = time.monotonic()
        try:
            handshake, worker = self._pool.start()
        except BaseException:
            self.close()
            raise
        info = worker.info or {}
        if "build_seconds" in info:
            self._deadline.expect(info["build_seconds"])
        self.ready = Ready(
            versions=handshake["versions"],
            info=info,
            pid=self._pool.preloaded.pid if self._pool.preloaded else -1,
            seconds=time.monotonic() - started,
            threads=handshake["threads"],
        )
        return self.ready

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Ask the current worker something other than a check.

        Raises:
            NoAnswer: the worker died, hung or gave no usable answer.
            SetupProblem: no worker can be had any more.
        """
        return self._ask(self._use(), request, self._deadline.ceiling)[0]

    def check(
        self,
        property_id: str,
        case: Case,
        guard: bool = False,
        against: Mapping[str, Any] | None = None,
    ) -> Outcome:
        """Check a case in the current worker.

        Args:
            property_id: the property.
            case: the case.
            guard: hold every index against its table before a kernel sees it.
            against: what the same check :attr:`gave` in another release.

        Raises:
            SetupProblem: no worker can be had any more.
        """
        if self._fresh_process:
            seconds = self._deadline.seconds()
            return self._in_fresh(property_id, case, seconds, LINGER, guard, against=against)
        worker = self._use()
        self.predecessor, self._ran = self._ran, Ran(property_id, case)
        deadline = self._deadline.brisk() if self._hung else self._deadline.seconds()
        outcome = self._check(worker, property_id, case, deadline, guard, against)
        self._hung = self._hung or outcome.verdict == "hang"
        return outcome

    def check_fresh(
        self,
        property_id: str,
        case: Case,
        linger: float = 0.0,
        guard: bool = False,
        blocking: bool = False,
        against: Mapping[str, Any] | None = None,
    ) -> Outcome:
        """Check a case in a process that has run nothing else, and runs nothing after it.

        Args:
            property_id: the property.
            case: the case.
            linger: seconds to go on looking at the process after its answer, for a death that
                comes late.
            guard: see :meth:`check`.
            blocking: with :data:`BLOCKING` in its environment.
            against: see :meth:`check`.

        Raises:
            SetupProblem: no worker can be had any more.
        """
        patient = self._deadline.patient()
        return self._in_fresh(property_id, case, patient, linger, guard, blocking, against)

    def explain(self, property_id: str, case: Case) -> list[tuple[str, str]]:
        """Ask a worker of its own what more it can say of a failing case, with labels.

        Nothing where it dies or hangs over it.

        Raises:
            SetupProblem: no worker can be had any more.
        """
        worker = self._pool.take()
        request = {"op": "explain", "property": property_id, "case": to_plain(case)}
        try:
            answer, _ = self._ask(worker, request, self._deadline.ceiling)
            return [(str(label), str(text)) for label, text in answer["said"]]
        except (NoAnswer, KeyError, TypeError, ValueError):
            return []
        finally:
            self._pool.lose(worker, wait=False)

    def late_deaths(self, linger: float = 0.0) -> list[LateDeath]:
        """Return the workers that died after an answer, each once.

        Args:
            linger: seconds to wait for such a death of the worker in use.
        """
        worker = self._pool.current
        if linger and worker is not None and self._ran is not None:
            late.dies(self._pool.preloaded, worker, linger)
        self._bury()
        found, self._late = self._late, []
        return found

    def replace(self) -> None:
        """Have the next check run in a new worker: what this one has run may have spoilt it."""
        self._bury()
        self._drop()

    def fork_seconds(self) -> float:
        """Return how long a worker takes from start to ready, measured on one nobody waits for.

        Raises:
            SetupProblem: no worker can be had any more.
        """
        return self._pool.ready_seconds()

    def memory(self) -> dict[str, Memory]:
        """Return the memory of the driver and of each process it has, by its role."""
        measured = {role: measure(pid) for role, pid in self.pids().items()}
        return {role: memory for role, memory in measured.items() if memory is not None}

    def pids(self) -> dict[str, int]:
        """Return the driver's process id and those of the processes it has, by their roles."""
        pids = {"driver": os.getpid()}
        pool = self._pool
        if pool.preloaded is not None:
            pool.preloaded.news()
            pids["preload"] = pool.preloaded.pid
        for role, worker in (("worker", pool.current), ("spare", pool.spare)):
            if worker is not None and worker.pid is not None:
                pids[role] = worker.pid
        return pids

    def close(self) -> None:
        """End every process, but for one that ``idle`` takes; doing so twice is fine."""
        self._pool.close()

    def _use(self) -> Worker:
        """Return a living worker for the next request."""
        self._pool.alive()
        self._bury()
        if self._pool.current is None:
            self._pool.current = self._pool.take()
            self._ran = None
        return self._pool.current

    def _bury(self) -> None:
        """Take in that the worker in use has died between two requests."""
        worker = self._pool.current
        if self._pool.preloaded is not None:
            self._pool.preloaded.news()
        if worker is None or not worker.death:
            return
        if self._ran is not None:
            self._late.append(LateDeath(self._ran, late.died(worker, 0.0)))
        self._drop()

    def _drop(self) -> None:
        self._pool.lose(self._pool.current)
        self._ran = None

    def _in_fresh(
        self,
        property_id: str,
        case: Case,
        deadline: float,
        linger: float,
        guard: bool = False,
        blocking: bool = False,
        against: Mapping[str, Any] | None = None,
    ) -> Outcome:
        worker = self._pool.take(variables=BLOCKING if blocking else None)
        try:
            outcome = self._check(worker, property_id, case, deadline, guard, against)
            if worker.wrapped and not outcome.failed:
                outcome = late.ended(self._pool.preloaded, worker, deadline) or outcome
            elif linger and not outcome.failed:
                outcome = late.lingered(self._pool.preloaded, worker, linger) or outcome
        except BaseException:
            self._pool.lose(worker, wait=False)
            raise
        self._pool.lose(worker)
        return outcome

    def _check(
        self,
        worker: Worker,
        property_id: str,
        case: Case,
        deadline: float,
        guard: bool,
        against: Mapping[str, Any] | None,
    ) -> Outcome:
        self.gave = {}
        plain = to_plain(case)
        self._write_down(property_id, plain, self.in_hand)
        request: dict[str, Any] = {"op": "check", "property": property_id, "case": plain}
        if guard:
            request["guard"] = True
        if against is not None:
            request["against"] = against
        if self.watch is not None:
            request["lines"] = True
        try:
            answer, seconds = self._ask(worker, request, deadline)
        except NoAnswer as problem:
            if self.watch is not None:
                self.watch({})
            return self._hinted(problem.outcome)
        try:
            outcome = outcome_from_plain(answer["outcome"])
            self.gave = dict(answer.get("gave", {}))
            if self.watch is not None:
                self.watch(answer.get("lines", {}))
            if outcome.verdict not in get_args(Kind):
                raise ValueError(f"unknown verdict {outcome.verdict!r}")
            if outcome.failed != (outcome.signature is not None):
                raise ValueError(f"verdict {outcome.verdict!r} with signature {outcome.signature}")
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            return autopsy.broken(f"the worker's answer is no outcome: {error!r}", seconds=seconds)
        self._deadline.note(seconds)
        return outcome

    def _hinted(self, outcome: Outcome) -> Outcome:
        if outcome.verdict != "hang" or self._deadline.learned:
            return outcome
        hint = "no case has been answered yet: a target that slow needs a longer --deadline"
        return replace(outcome, message=f"{outcome.message} ({hint})")

    def _ask(
        self, worker: Worker, request: dict[str, Any], deadline: float
    ) -> tuple[dict[str, Any], float]:
        preloaded: Preloaded | None = self._pool.preloaded
        if preloaded is None:
            raise RuntimeError("the supervisor is closed")
        self._requests += 1
        numbered = {**request, "id": self._requests}
        try:
            return converse(preloaded, worker, numbered, deadline, self._memory_limit_mib)
        except Lost as problem:
            # Whatever it is, this worker's state can no longer be trusted.
            self._pool.lose(worker)
            raise NoAnswer(problem.outcome) from None
        except NoAnswer:
            raise
        except BaseException:
            self._pool.lose(worker, wait=False)
            raise
        finally:
            self._pool.went_well()
