"""Which cases are watched for the changed lines that they run: watching costs time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from fuzz.gate.changed import Reach

PATIENCE: Final = 15
"""Cases in a row of which none runs anything new until only some are watched."""
SOME: Final = 10
"""Of how many cases one is watched then."""

Note = Callable[[Mapping[str, Sequence[int]]], None]


class Watched(Protocol):
    """A supervisor, as it is used here."""

    watch: Note | None


@dataclass(slots=True)
class Watch:
    """Watches one property's cases in the candidate: all of them, while they run something new.

    Attributes:
        candidate: whose checks are watched; one that nobody watches is left so.
        reach: what has run.
        latest: how many changed statements the latest case ran, None where it was not watched.
    """

    candidate: Watched
    reach: Reach
    latest: int | None = None
    _note: Note | None = field(init=False)
    _cases: int = 0
    _idle: int = 0
    _had: int = 0

    def __post_init__(self) -> None:
        """Remember who is told."""
        self._note = self.candidate.watch

    def before(self, brief: bool) -> None:
        """Decide on the next case; none is watched while a failure is made small (``brief``)."""
        wanted = not brief and (self._idle < PATIENCE or self._cases % SOME == 0)
        self.candidate.watch = self._note if wanted else None
        self._cases += not brief
        self._had = len(self.reach.reached)

    def after(self) -> None:
        """Take in what the case ran."""
        watched = self.candidate.watch is not None
        self.latest = self.reach.latest if watched else None
        if watched:
            self._idle = 0 if len(self.reach.reached) > self._had else self._idle + 1

    def reached(self) -> float | None:
        """Return :attr:`latest`."""
        return self.latest

    def end(self) -> None:
        """Have every check watched again."""
        self.candidate.watch = self._note
