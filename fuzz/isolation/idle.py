"""Preloaded processes that are done with one target and can take another."""

from __future__ import annotations

import os
from collections.abc import Hashable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final

from fuzz.isolation.preloaded import Preloaded

MOST: Final = 2
"""Processes that are kept: one for each side of a gate. ``bisect`` goes through many releases."""


@dataclass(slots=True)
class Idle:
    """Keeps preloaded processes whose target is done with.

    Importing torch and transformers takes seconds; what one more family imports of its own,
    hundredths of one. Use it as a context manager: at its end all of them end.

    Attributes:
        processes: by what they were started with.
        owner: the process that started them. One that was forked while there were some has them
            too, and must not talk to them.
    """

    processes: dict[Hashable, Preloaded] = field(default_factory=dict)
    owner: int = field(default_factory=os.getpid)

    def __enter__(self) -> Idle:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End those that nobody has taken."""
        self._forget_a_parents()
        for process in self.processes.values():
            process.end()
        self.processes.clear()

    def take(self, started_with: Hashable) -> Preloaded | None:
        """Return a process that was started with the same, None where there is none that lives."""
        self._forget_a_parents()
        process = self.processes.pop(started_with, None)
        if process is None:
            return None
        process.news()
        if process.gone or process.torn:
            process.end(at_once=True)
            return None
        return process

    def put(self, started_with: Hashable, process: Preloaded) -> bool:
        """Keep a process, with none of its workers left; False where it cannot go on.

        Args:
            started_with: what it takes to be of use to somebody.
            process: the process; it is not ended where this says False.
        """
        self._forget_a_parents()
        for worker in tuple(process.workers.values()):
            process.kill(worker)
            if not process.wait_for_death(worker):
                return False
        if process.gone or process.torn or started_with in self.processes:
            return False
        self.processes[started_with] = process
        while len(self.processes) > MOST:
            oldest = next(iter(self.processes))
            self.processes.pop(oldest).end()
        return True

    def _forget_a_parents(self) -> None:
        if self.owner != os.getpid():
            self.processes, self.owner = {}, os.getpid()
