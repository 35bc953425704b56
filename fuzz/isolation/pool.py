"""The workers: one in use, one spare, forked where forking works and fresh where it does not."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from fuzz.isolation import autopsy, wire
from fuzz.isolation.errors import ProblemKind, SetupProblem
from fuzz.isolation.idle import Idle
from fuzz.isolation.kernel import used_ticks
from fuzz.isolation.preloaded import Preloaded, Worker

_ATTEMPTS: Final = 3
_PAUSES: Final = (0.2, 1.0, 0.0)  # seconds after each


@dataclass(frozen=True, slots=True)
class Settings:
    """How workers are made.

    Attributes:
        target: what they prepare, as plain data.
        worker_module: what they run; see :mod:`fuzz.isolation.serve_requests`.
        python: the interpreter of the environment to run in.
        pythonpath: folders that come first on its import path.
        setup_seconds: how long loading, and preparing, may each take.
        idle_seconds: how long a forked worker may use no processor time while it prepares, before
            it counts as stuck, as a fork is that inherited a lock somebody held.
        fresh: whether each worker is an interpreter of its own from the beginning.
        wrap: a command, word by word, that is put before the interpreter of each worker, which
            then is one of its own.
    """

    target: dict[str, Any]
    worker_module: str = "fuzz.worker.serve"
    python: str = sys.executable
    pythonpath: Sequence[str] = ()
    setup_seconds: float = 300.0
    idle_seconds: float = 20.0
    fresh: bool = False
    wrap: Sequence[str] = ()

    def shared(self) -> Hashable:
        """Return what two targets must have in common for one preloaded process to serve both.

        Whether workers are fresh is asked for with each of them.
        """
        where = (self.worker_module, self.python, *self.pythonpath)
        return where, self.target["device"], self.setup_seconds, tuple(self.wrap)


class Pool:
    """The preloaded process and the workers it has started.

    Attributes:
        preloaded: the process that forks, None while there is none.
        current: the worker in use, None while there is none.
        spare: the next one, started before it is needed.
        fresh: whether workers are interpreters of their own.
        forks: how many workers were started.
        restarts: how many workers in use were replaced because they were lost.
        preloads: how often the preloaded process was started.
        unkillable: process ids of killed workers that were not seen to die.
    """

    def __init__(
        self, settings: Settings, notify: Callable[[str], None], idle: Idle | None = None
    ) -> None:
        """Take the settings; nothing is started yet.

        Args:
            settings: how workers are made.
            notify: told in one line what a user should know.
            idle: has preloaded processes of earlier targets, and takes this one's at the end.
        """
        self._settings = settings
        self._notify = notify
        self._idle = idle
        self._deaths_in_a_row = 0
        # On an accelerator a prepared worker holds a context and a model in its memory.
        self._prepare_ahead = settings.target["device"] == "cpu"
        self.preloaded: Preloaded | None = None
        self.current: Worker | None = None
        self.spare: Worker | None = None
        self.fresh = settings.fresh or bool(settings.wrap)
        self.forks = 0
        self.restarts = 0
        self.preloads = 0
        self.unkillable: list[int] = []

    def start(self) -> tuple[dict[str, Any], Worker]:
        """Load the worker module and prepare the first worker, which is then the current one.

        Where a forked one does not get ready, fresh interpreters are tried, and used from then
        on if they do.

        Returns:
            What loading gave, and the worker.

        Raises:
            SetupProblem: no worker can be had for this target.
        """
        handshake = self._launch()
        try:
            self.current = self.take(once=True)
        except SetupProblem as problem:
            if problem.kind == "usage" or self.fresh:
                raise
            self.fresh = True
            self.lose(self.spare)
            self.spare = None
            began = time.monotonic()
            self.current = self.take(once=True)
            self._notify(
                f"forked workers do not get ready here ({problem.message}); each worker is a "
                f"fresh interpreter instead, ready in {time.monotonic() - began:.1f} s"
            )
        return handshake, self.current

    def alive(self) -> Preloaded:
        """Return the preloaded process, a new one if the last has died.

        Raises:
            SetupProblem: it died too often in a row, or cannot be started.
        """
        if self.preloaded is None:
            raise RuntimeError("the supervisor is not started")
        self.preloaded.news()
        if not self.preloaded.gone and not self.preloaded.torn:
            return self.preloaded
        if self.preloaded.gone:
            self._deaths_in_a_row += 1
            if self._deaths_in_a_row >= _ATTEMPTS:
                how, log = self.preloaded.death(), self.preloaded.log()
                message = f"the preloaded process died {_ATTEMPTS} times in a row, last by {how}"
                raise SetupProblem("broken", message, log)
        self.preloaded.end()
        self._launch()
        return self.preloaded

    def went_well(self) -> None:
        """Take in that the preloaded process lived through a request."""
        if self.preloaded is not None and not self.preloaded.gone:
            self._deaths_in_a_row = 0

    def take(self, once: bool = False, variables: Mapping[str, str] | None = None) -> Worker:
        """Return a worker that is ready and has run nothing, and have the next one started.

        Args:
            once: whether the first worker that does not get ready decides. That the preloaded
                process died is always tried again.
            variables: of its environment; a spare that is prepared without them is not used.

        Raises:
            SetupProblem: none can be had.
        """
        problem = SetupProblem("broken", "the preloaded process died again and again")
        for attempt in range(_ATTEMPTS):
            preloaded = self.alive()
            if self.spare is not None and self.spare.death:
                # It was idle, so whatever killed it was no case.
                self.lose(self.spare)
                self.spare = None
            worker = None
            try:
                if variables and self.spare is not None and self.spare.told:
                    worker = self._fork(preloaded)
                else:
                    worker, self.spare = self.spare or self._fork(preloaded), None
                worker.tell(variables)
                self._wait_until_ready(preloaded, worker)
                if self.spare is not None:
                    return worker
                self.spare = self._fork(preloaded)
                if self._prepare_ahead:
                    self.spare.tell()
                return worker
            except ConnectionError:
                # The preloaded process went between two looks at it.
                if worker is not None and worker.info is not None:
                    return worker
            except SetupProblem as error:
                problem = error
                self.lose(worker)
                if error.kind == "usage" or once:
                    break
                time.sleep(_PAUSES[attempt])  # a shortage of processes or memory may pass
            except BaseException:
                self.lose(worker, wait=False)
                raise
        raise problem

    def ready_seconds(self) -> float:
        """Return how long a worker takes from start to ready, measured on one nobody waits for.

        Raises:
            SetupProblem: no worker can be had any more.
        """
        preloaded = self.alive()
        started = time.monotonic()
        worker = self._fork(preloaded)
        try:
            worker.tell()
            self._wait_until_ready(preloaded, worker)
            return time.monotonic() - started
        finally:
            self.lose(worker)

    def lose(self, worker: Worker | None, wait: bool = True) -> None:
        """Kill a worker and forget it; a stuck one is tolerated, the next takes its place."""
        if worker is None or self.preloaded is None:
            return
        if worker is self.current:
            self.current = None
            self.restarts += 1
        self.preloaded.kill(worker)
        died = not wait or self.preloaded.wait_for_death(worker)
        if not died and not self.preloaded.gone and worker.pid is not None:
            self.unkillable.append(worker.pid)
            self._notify(
                f"worker process {worker.pid} was killed and was not seen to end; it is left behind"
            )

    def close(self) -> None:
        """End every process, or all but one that another target can take; twice is fine."""
        preloaded, self.preloaded = self.preloaded, None
        self.current = self.spare = None
        if preloaded is None:
            return
        if self._idle is None or not self._idle.put(self._settings.shared(), preloaded):
            preloaded.end()

    def _launch(self) -> dict[str, Any]:
        settings = self._settings
        self.current = self.spare = None
        if self._idle is not None and (idle := self._idle.take(settings.shared())) is not None:
            self.preloaded = idle
            try:
                return idle.load(settings.target)
            except SetupProblem as problem:
                # Anything else may be for what it had loaded before.
                if problem.kind == "usage":
                    raise
        self.preloaded = Preloaded(
            settings.worker_module,
            settings.target,
            settings.python,
            settings.pythonpath,
            settings.setup_seconds,
            settings.wrap,
        )
        self.preloads += 1
        return self.preloaded.handshake()

    def _fork(self, preloaded: Preloaded) -> Worker:
        worker = preloaded.fork(self.fresh)
        self.forks += 1
        return worker

    def _wait_until_ready(self, preloaded: Preloaded, worker: Worker) -> None:
        # A moment more, in which the worker writes down where it is.
        setup = self._settings.setup_seconds
        began = moved = time.monotonic()
        end = began + setup + 0.5
        ticks = -1
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
            if worker.info is not None and worker.pid is not None and not worker.death:
                worker.idle_bytes = worker.memory()
                return
            if preloaded.gone:
                raise ConnectionError("the preloaded process is gone")
            if worker.death and (worker.ended or worker.info is not None):
                line = autopsy.last_words(worker.printed(autopsy.EVIDENCE))
                text = f"a worker died by {worker.death} while preparing"
                raise SetupProblem("broken", f"{text}: {line}" if line else text, worker.printed())
            now = time.monotonic()
            if worker.pid is None and now - began > self._settings.idle_seconds:
                # It does not even fork: stopped, or stuck. The next attempt starts another one.
                preloaded.end(at_once=True)
                raise ConnectionError("the preloaded process is stuck")
            if now >= end:
                text = f"preparing a worker took more than {setup:g} s"
                raise SetupProblem("broken", text, worker.printed())
            before, ticks = ticks, used_ticks(worker.pid) if worker.pid else -1
            if ticks != before:
                moved = now
            elif not worker.fresh and now - moved > self._settings.idle_seconds:
                text = f"a forked worker did nothing for {now - moved:.0f} s while preparing"
                raise SetupProblem("broken", text, worker.printed())
            preloaded.wait(worker, min(end - now, self._settings.idle_seconds / 4))
