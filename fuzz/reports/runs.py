"""Events gathered into runs: what reports are made of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from fuzz.events import (
    Event,
    Found,
    Gated,
    KnownSeen,
    Mapped,
    NotApplicable,
    Notice,
    PropertyDone,
    Replayed,
    RunEnded,
    RunStarted,
)
from fuzz.ledger import Entry
from fuzz.report import counted, target_in_words
from fuzz.verdict import Kind, Signature


@dataclass(slots=True)
class Run:
    """One target's run.

    Attributes:
        started: what ran.
        done: what each property gave.
        not_applicable: properties left out, with the reason.
        found: findings.
        maps: which cases around a finding fail, by its signature.
        replayed: saved failures that were replayed.
        known: entries of the ledger that were met.
        notices: what else was said.
        ended: how it ended, None where it was cut off.
    """

    started: RunStarted
    done: dict[str, PropertyDone] = field(default_factory=dict)
    not_applicable: dict[str, str] = field(default_factory=dict)
    found: list[Found] = field(default_factory=list)
    maps: dict[Signature, Mapped] = field(default_factory=dict)
    replayed: list[Replayed] = field(default_factory=list)
    known: list[Entry] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    ended: RunEnded | None = None

    @property
    def new(self) -> list[Found]:
        """The findings that fail a run."""
        return [f for f in self.found if f.finding.status != "flaky"]

    @property
    def cases(self) -> Counter[Kind]:
        """All generated cases by verdict."""
        total: Counter[Kind] = Counter()
        for done in self.done.values():
            total.update(done.counts)
        return total

    @property
    def broken(self) -> list[str]:
        """What could not be judged, each once."""
        return list(dict.fromkeys(m for done in self.done.values() for m in done.broken))

    @property
    def headline(self) -> str:
        """What came of it, in a sentence."""
        said = []
        if self.replayed:
            by_status = Counter(r.status for r in self.replayed)
            told = ", ".join(f"{n} {status}" for status, n in sorted(by_status.items()))
            said.append(f"{counted(len(self.replayed), 'saved failure')} replayed: {told}")
        if self.done or not self.replayed:
            said.append(counted(sum(self.cases.values()), "case"))
        said.append(counted(len(self.new), "new finding"))
        if flaky := len(self.found) - len(self.new):
            said.append(f"{flaky} flaky")
        said.append(f"{counted(len(self.known), 'known failure')} met")
        if broken := self.cases["broken"]:
            said.append(f"{broken} could not be judged")
        if self.ended is None:
            said.append("the run was cut off")
        elif self.ended.fatal:
            said.append(f"stopped: {self.ended.fatal}")
        elif self.ended.interrupted:
            said.append("stopped before its end")
        return ", ".join(said)


def gather(events: Iterable[Event]) -> list[Run]:
    """Gather events into the runs that they tell of; what comes before the first is kept for it."""
    runs: list[Run] = []
    early: list[str] = []
    for event in events:
        if isinstance(event, RunStarted):
            runs.append(Run(event, notices=early))
            early = []
        elif isinstance(event, Notice) and (not runs or runs[-1].ended is not None):
            early.append(event.text)
        elif runs:
            _take(runs[-1], event)
    if runs:
        runs[-1].notices += early
    return runs


def _take(run: Run, event: Event) -> None:
    if isinstance(event, PropertyDone):
        run.done[event.property] = event
    elif isinstance(event, NotApplicable):
        run.not_applicable[event.property] = event.reason
    elif isinstance(event, Found):
        run.found.append(event)
    elif isinstance(event, Mapped):
        run.maps[event.signature] = event
    elif isinstance(event, Replayed):
        run.replayed.append(event)
    elif isinstance(event, KnownSeen):
        run.known.append(event.entry)
    elif isinstance(event, Notice):
        run.notices.append(event.text)
    elif isinstance(event, RunEnded):
        run.ended = event


def gates_in(events: Iterable[Event]) -> list[Gated]:
    """Return what gates have decided."""
    return [event for event in events if isinstance(event, Gated)]


def title_of(run: Run) -> str:
    """Return what a run ran on, in a line."""
    release = run.started.versions.get("transformers", "unknown")
    return f"{target_in_words(run.started.target)}, transformers {release}"
