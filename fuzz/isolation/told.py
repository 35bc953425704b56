"""What a supervisor tells beside the outcome of a check."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fuzz.verdict import Outcome
from strategies.case import Case


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


@dataclass(frozen=True, slots=True)
class Ran:
    """A case that a worker was given.

    Attributes:
        property: the property that was checked.
        case: the case.
    """

    property: str
    case: Case


@dataclass(frozen=True, slots=True)
class LateDeath:
    """A worker that died after it had answered, before it was asked again.

    Attributes:
        ran: the case it had answered last.
        outcome: what a check would have given had it died during it.
    """

    ran: Ran
    outcome: Outcome
