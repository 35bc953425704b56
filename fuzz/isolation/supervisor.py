"""The driver's side: checks cases in worker processes, and answers for those that die."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, get_args

from fuzz.isolation import autopsy, wire
from fuzz.isolation.conversation import Lost, converse
from fuzz.isolation.deadline import Deadline
from fuzz.isolation.errors import NoAnswer, ProblemKind, SetupProblem
from fuzz.isolation.journal import Journal
from fuzz.isolation.memory import Memory, measure
from fuzz.isolation.preloaded import Preloaded, Worker
from fuzz.target import Target, target_to_plain
from fuzz.verdict import Kind, Outcome, outcome_from_plain
from strategies.case import Case, to_plain

_ATTEMPTS: Final = 3
_SETUP_SECONDS: Final = 300.0


@dataclass(frozen=True, slots=True)
class Ready:
    """What is known once the first worker is ready.

    Attributes:
        versions: what loading the worker module gave.
        info: what preparing the target gave.
        pid: the preloaded process.
        seconds: how long starting took.
        threads: how many threads the preloaded process has; more than one make forking unsafe.
    """

    versions: dict[str, Any]
    info: dict[str, Any]
    pid: int
    seconds: float
    threads: int


class Supervisor:
    """Checks cases against one target, each in a process that may die.

    Use it as a context manager and call :meth:`start` first. It is for one thread. Nothing it
    started is left behind: not after :meth:`close`, not when the driver is killed.

    Attributes:
        forks: how many workers were forked.
        restarts: how many workers were replaced because they were lost.
        preloads: how often the preloaded process was started.
        idle_deaths: how many workers died between two requests.
        unkillable: how many killed workers were not seen to die.
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
        setup_seconds: float = _SETUP_SECONDS,
    ) -> None:
        """Take the settings; nothing is started yet.

        Args:
            target: what the cases run against.
            worker_module: the module to load; see :mod:`fuzz.isolation.serve_requests`.
            journal: where each case is written down before it runs. It stays the caller's.
            deadline: how long a case may take.
            memory_limit_mib: what a worker may hold, its captured output included.
            python: the interpreter of the environment to run in.
            pythonpath: folders that come first on its import path.
            setup_seconds: how long loading, and preparing, may each take.
        """
        self._target = target_to_plain(target)
        self._worker_module = worker_module
        self._journal = journal
        self._deadline = deadline or Deadline()
        self._memory_limit_mib = memory_limit_mib
        self._python = python
        self._pythonpath = tuple(pythonpath)
        self._setup_seconds = setup_seconds
        self._preloaded: Preloaded | None = None
        self._current: Worker | None = None
        self._spare: Worker | None = None
        self._deaths_in_a_row = 0
        self._requests = 0
        self.forks = 0
        self.restarts = 0
        self.preloads = 0
        self.idle_deaths = 0
        self.unkillable = 0

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
        return self._current.pid if self._current else None

    def start(self) -> Ready:
        """Load the worker module and prepare the first worker.

        Raises:
            SetupProblem: no worker can be had for this target.
            RuntimeError: it is started already.
        """
        if self._preloaded is not None:
            raise RuntimeError("the supervisor is started already")
        started = time.monotonic()
        try:
            handshake = self._launch()
            self._current = self._take(attempts=1)
            return Ready(
                versions=handshake["versions"],
                info=self._current.info or {},
                pid=self._preloaded.pid if self._preloaded else -1,
                seconds=time.monotonic() - started,
                threads=handshake["threads"],
            )
        except BaseException:
            self.close()
            raise

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Ask the current worker something other than a check.

        Raises:
            NoAnswer: the worker died, hung or gave no usable answer.
            SetupProblem: no worker can be had any more.
        """
        return self._ask(self._use(), request, self._deadline.ceiling)[0]

    def check(self, property_id: str, case: Case) -> Outcome:
        """Check a case in the current worker.

        Raises:
            SetupProblem: no worker can be had any more.
        """
        return self._check(self._use(), property_id, case, self._deadline.seconds())

    def check_fresh(self, property_id: str, case: Case) -> Outcome:
        """Check a case in a process that has run nothing else, and runs nothing after it.

        Raises:
            SetupProblem: no worker can be had any more.
        """
        worker = self._take()
        try:
            outcome = self._check(worker, property_id, case, self._deadline.patient())
        except BaseException:
            self._lose(worker, wait=False)
            raise
        self._lose(worker)
        return outcome

    def fork_seconds(self) -> float:
        """Return how long a worker takes from fork to ready, measured on one nobody waits for.

        Raises:
            SetupProblem: no worker can be had any more.
        """
        preloaded = self._alive()
        started = time.monotonic()
        worker = self._fork(preloaded)
        try:
            self._wait_until_ready(preloaded, worker)
            return time.monotonic() - started
        finally:
            self._lose(worker)

    def memory(self) -> dict[str, Memory]:
        """Return the memory of the driver and of each process it has, by its role."""
        pids = {"driver": os.getpid()}
        if self._preloaded is not None:
            self._preloaded.news()
            pids["preload"] = self._preloaded.pid
        for role, worker in (("worker", self._current), ("spare", self._spare)):
            if worker is not None and worker.pid is not None:
                pids[role] = worker.pid
        measured = {role: measure(pid) for role, pid in pids.items()}
        return {role: memory for role, memory in measured.items() if memory is not None}

    def close(self) -> None:
        """End every process; doing so twice is fine."""
        preloaded, self._preloaded = self._preloaded, None
        self._current = self._spare = None
        if preloaded is not None:
            preloaded.end()

    # --- workers ------------------------------------------------------------------------

    def _launch(self) -> dict[str, Any]:
        self._current = self._spare = None
        self._preloaded = Preloaded(
            self._worker_module,
            self._target,
            self._python,
            self._pythonpath,
            self._setup_seconds,
        )
        self.preloads += 1
        return self._preloaded.handshake()

    def _alive(self) -> Preloaded:
        """Return the preloaded process, a new one if the last has died."""
        if self._preloaded is None:
            raise RuntimeError("the supervisor is not started")
        self._preloaded.news()
        if not self._preloaded.gone and not self._preloaded.torn:
            return self._preloaded
        if self._preloaded.gone:
            self._deaths_in_a_row += 1
            if self._deaths_in_a_row >= _ATTEMPTS:
                how, log = self._preloaded.death(), self._preloaded.log()
                message = f"the preloaded process died {_ATTEMPTS} times in a row, last by {how}"
                raise SetupProblem("broken", message, log)
        self._preloaded.end()
        self._launch()
        return self._preloaded

    def _use(self) -> Worker:
        """Return a living worker for the next request."""
        self._alive()
        if self._current is not None and self._current.death:
            self.idle_deaths += 1
            self._lose(self._current)
        if self._current is None:
            self._current = self._take()
        return self._current

    def _take(self, attempts: int = _ATTEMPTS) -> Worker:
        """Return a worker that is ready and has run nothing, and have the next one forked."""
        problem = SetupProblem("broken", "no worker could be forked")
        for _ in range(attempts):
            preloaded = self._alive()
            worker = None
            try:
                worker, self._spare = self._spare or self._fork(preloaded), None
                self._wait_until_ready(preloaded, worker)
                self._spare = self._fork(preloaded)
                return worker
            except ConnectionError:
                # The preloaded process went between two looks at it.
                if worker is not None and worker.info is not None:
                    return worker
            except SetupProblem as error:
                problem = error
                self._lose(worker)
                if error.kind == "usage":
                    break
            except BaseException:
                self._lose(worker, wait=False)
                raise
        raise problem

    def _fork(self, preloaded: Preloaded) -> Worker:
        worker = preloaded.fork()
        self.forks += 1
        return worker

    def _wait_until_ready(self, preloaded: Preloaded, worker: Worker) -> None:
        # A moment more, in which the worker writes down where it is.
        end = time.monotonic() + self._setup_seconds + 0.5
        while True:
            try:
                message = worker.frames.take()
            except wire.WireError as error:
                raise SetupProblem("broken", f"a new worker sent garbage: {error}") from None
            # The number can come after the worker's own word: two sockets keep no order.
            if message is not None and "ready" in message:
                worker.info = dict(message["ready"])
            elif message is not None:
                problem = message["setup_error"]
                kind: ProblemKind = "usage" if problem["kind"] == "usage" else "broken"
                raise SetupProblem(kind, problem["message"], problem["details"] + worker.printed())
            if worker.info is not None and worker.pid is not None:
                return
            if preloaded.gone:
                raise ConnectionError("the preloaded process is gone")
            if worker.death and worker.ended:
                line = autopsy.last_words(worker.printed(autopsy.EVIDENCE))
                text = f"a worker died by {worker.death} while preparing"
                raise SetupProblem("broken", f"{text}: {line}" if line else text, worker.printed())
            left = end - time.monotonic()
            if left <= 0:
                text = f"preparing a worker took more than {self._setup_seconds:g} s"
                raise SetupProblem("broken", text, worker.printed())
            preloaded.wait(worker, left)

    def _lose(self, worker: Worker | None, wait: bool = True) -> None:
        """Kill a worker and forget it; a stuck one is tolerated, the next takes its place."""
        if worker is None or self._preloaded is None:
            return
        if worker is self._current:
            self._current = None
            self.restarts += 1
        self._preloaded.kill(worker)
        if wait and not self._preloaded.wait_for_death(worker) and not self._preloaded.gone:
            self.unkillable += 1

    # --- requests -----------------------------------------------------------------------

    def _check(self, worker: Worker, property_id: str, case: Case, deadline: float) -> Outcome:
        plain = to_plain(case)
        if self._journal is not None:
            self._journal.record(property_id, plain, self._target)
        request = {"op": "check", "property": property_id, "case": plain}
        try:
            answer, seconds = self._ask(worker, request, deadline)
        except NoAnswer as problem:
            return problem.outcome
        try:
            outcome = outcome_from_plain(answer["outcome"])
            if outcome.verdict not in get_args(Kind):
                raise ValueError(f"unknown verdict {outcome.verdict!r}")
            if outcome.failed != (outcome.signature is not None):
                raise ValueError(f"verdict {outcome.verdict!r} with signature {outcome.signature}")
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            return autopsy.broken(f"the worker's answer is no outcome: {error!r}", seconds=seconds)
        self._deadline.note(seconds)
        return outcome

    def _ask(
        self, worker: Worker, request: dict[str, Any], deadline: float
    ) -> tuple[dict[str, Any], float]:
        preloaded = self._preloaded
        if preloaded is None:
            raise RuntimeError("the supervisor is closed")
        self._requests += 1
        numbered = {**request, "id": self._requests}
        try:
            return converse(preloaded, worker, numbered, deadline, self._memory_limit_mib)
        except Lost as problem:
            # Whatever it is, this worker's state can no longer be trusted.
            self._lose(worker)
            raise NoAnswer(problem.outcome) from None
        except NoAnswer:
            raise
        except BaseException:
            self._lose(worker, wait=False)
            raise
        finally:
            if not preloaded.gone:
                self._deaths_in_a_row = 0
