"""What happens during a run, told to whoever listens; the engine does not know its reporters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from fuzz.finding import Finding
from fuzz.ledger import Entry
from fuzz.target import Target
from fuzz.verdict import Kind, Signature
from strategies.case import Case


@dataclass(frozen=True, slots=True)
class RunStarted:
    """The environment is ready.

    Attributes:
        target: what is fuzzed.
        versions: package versions.
        seed: draws all cases.
        seconds: how long getting ready took.
    """

    target: Target
    versions: Mapping[str, str]
    seed: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Progress:
    """A generated case was checked.

    Attributes:
        property: the property it was checked against.
        done: cases of this property so far.
        planned: cases of this property in all, 0 where time decides.
        verdict: what it gave.
    """

    property: str
    done: int
    planned: int
    verdict: Kind


@dataclass(frozen=True, slots=True)
class Shrinking:
    """A failure is being made smaller.

    Attributes:
        property: the property that ran into it.
        signature: what it is.
        case: the smallest failing case so far.
        attempts: cases tried so far.
    """

    property: str
    signature: Signature
    case: Case
    attempts: int


@dataclass(frozen=True, slots=True)
class Found:
    """A finding is minimized, confirmed and saved.

    Attributes:
        finding: the finding.
        path: where it was saved.
        note: why it was not saved, "" if it was.
    """

    finding: Finding
    path: Path | None
    note: str = ""


@dataclass(frozen=True, slots=True)
class KnownSeen:
    """A failure that the ledger expects was met for the first time in this run."""

    property: str
    entry: Entry


@dataclass(frozen=True, slots=True)
class PropertyDone:
    """A property has had its cases.

    Attributes:
        property: its id.
        counts: generated cases by verdict.
        known: how many of the failures the ledger expects.
        executed: checks run in all, minimization included.
        seconds: wall clock.
        broken: messages of cases that could not be judged, each once.
        idle: how many of the cases passed with nothing to compare.
    """

    property: str
    counts: Mapping[Kind, int]
    known: int
    executed: int
    seconds: float
    broken: tuple[str, ...] = field(default=())
    idle: int = 0


@dataclass(frozen=True, slots=True)
class NotApplicable:
    """A property says nothing about this target, and is left out.

    Attributes:
        property: its id.
        reason: why.
    """

    property: str
    reason: str


@dataclass(frozen=True, slots=True)
class Notice:
    """One line that a user should read."""

    text: str


@dataclass(frozen=True, slots=True)
class RunEnded:
    """A run has ended, whatever ended it.

    Attributes:
        seconds: wall clock.
        exit_code: what the command gives.
        interrupted: whether Ctrl-C ended it.
        fatal: why it could not go on, "" if it could.
        again: the command that checks the same cases.
    """

    seconds: float
    exit_code: int
    interrupted: bool
    fatal: str
    again: str


Event: TypeAlias = (
    RunStarted
    | Progress
    | Shrinking
    | Found
    | KnownSeen
    | PropertyDone
    | NotApplicable
    | Notice
    | RunEnded
)
Listener: TypeAlias = Callable[[Event], None]
