"""What happens during a run, told to whoever listens; the engine does not know its reporters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

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
        seed: draws all cases, None where none are drawn.
        seconds: how long getting ready took.
    """

    target: Target
    versions: Mapping[str, str]
    seed: int | None
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
class Mapped:
    """It was looked which cases around a finding fail.

    Attributes:
        signature: of the finding.
        labels: of the two axes, the first to the right and the second one downwards.
        spans: first and last value of each axis.
        rows: the picture, a sign for each point or a few of them, as :mod:`fuzz.map.draw` has them.
        legend: what the signs mean.
        sentence: the rule, and what could not be told.
    """

    signature: Signature
    labels: tuple[str, str]
    spans: tuple[tuple[int, int], tuple[int, int]]
    rows: tuple[str, ...]
    legend: tuple[str, ...]
    sentence: str


Status: TypeAlias = Literal["FIXED", "FAILED", "KNOWN", "ERROR"]


@dataclass(frozen=True, slots=True)
class Replayed:
    """A saved failure was replayed.

    Attributes:
        path: the file.
        status: ``FIXED`` it passes (or is refused in words), ``FAILED`` it still fails,
            ``KNOWN`` it fails and the ledger expects it, ``ERROR`` it could not be judged.
        message: one sentence.
        usage: whether the file itself is at fault.
    """

    path: Path
    status: Status
    message: str
    usage: bool = False


@dataclass(frozen=True, slots=True)
class Differing:
    """What a gate found to differ between two releases.

    Attributes:
        change: what it is.
        finding: the finding.
        path: where it was saved, None where it could not be.
        drawn: which cases around it fail in the candidate, None where nobody looked.
    """

    change: str
    finding: Finding
    path: Path | None
    drawn: Mapped | None = None


@dataclass(frozen=True, slots=True)
class Gated:
    """A gate has decided.

    Attributes:
        verdict: in one sentence.
        summary: what it rests on, a sentence each.
        differences: what was pursued.
        sections: what else was met, by title.
        counts: fresh cases by change, with their family and property.
        exit_code: what the command gives.
        again: the command that does the same once more.
    """

    verdict: str
    summary: tuple[str, ...]
    differences: tuple[Differing, ...]
    sections: Mapping[str, tuple[str, ...]]
    counts: tuple[tuple[str, str, Mapping[str, int]], ...]
    exit_code: int
    again: str


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
    | Mapped
    | Replayed
    | Gated
    | KnownSeen
    | PropertyDone
    | NotApplicable
    | Notice
    | RunEnded
)
Listener: TypeAlias = Callable[[Event], None]
