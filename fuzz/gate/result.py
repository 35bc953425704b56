"""What a gate found, and its verdict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from fuzz.events import Mapped
from fuzz.finding import Finding
from fuzz.gate.changed import Reach
from fuzz.outcome import Change
from fuzz.verdict import Signature

Verdict: TypeAlias = Literal["pass", "blocked", "could not judge"]

EXIT_CODES: dict[Verdict, int] = {"pass": 0, "blocked": 1, "could not judge": 3}


@dataclass(frozen=True, slots=True)
class Difference:
    """A change that was pursued, confirmed and kept.

    Attributes:
        change: what it is; ``flaky`` where fresh processes do not agree.
        finding: the finding.
        path: where it was saved, None where it could not be.
        drawn: which cases around it fail in the candidate, None where nobody looked.
    """

    change: Change
    finding: Finding
    path: Path | None
    drawn: Mapped | None = None


@dataclass(frozen=True, slots=True)
class Replay:
    """A saved regression in both releases.

    Attributes:
        path: its file.
        change: what came of it.
        text: one sentence.
    """

    path: Path
    change: Change
    text: str


@dataclass(slots=True)
class Result:
    """What a gate has done so far.

    Attributes:
        baseline: the release before.
        candidate: the release after.
        counts: generated cases by change, per family and property.
        differences: what was pursued.
        replays: saved regressions.
        fixed: failures of the baseline that the candidate does not have, with an example each.
        shifted: failures that are another one in the candidate, with an example each.
        unjudged: why something could not be judged, each once.
        skipped: what was left out, and why; it blocks nothing.
        interrupted: whether Ctrl-C ended it.
        executed: checks run in the two releases together, those of minimization included.
        reach: what changed between the releases, and how much of it ran.
    """

    baseline: str
    candidate: str
    counts: dict[tuple[str, str], Counter[Change]] = field(default_factory=dict)
    differences: list[Difference] = field(default_factory=list)
    replays: list[Replay] = field(default_factory=list)
    fixed: dict[Signature, str] = field(default_factory=dict)
    shifted: dict[Signature, str] = field(default_factory=dict)
    unjudged: Counter[str] = field(default_factory=Counter)
    skipped: list[str] = field(default_factory=list)
    interrupted: bool = False
    executed: int = 0
    reach: Reach = field(default_factory=Reach)

    def add(self, other: Result) -> None:
        """Take in what another gate between the same releases did."""
        self.counts.update(other.counts)
        self.differences += other.differences
        self.replays += other.replays
        self.fixed = {**other.fixed, **self.fixed}
        self.shifted = {**other.shifted, **self.shifted}
        self.unjudged.update(other.unjudged)
        self.skipped += other.skipped
        self.interrupted = self.interrupted or other.interrupted
        self.executed += other.executed
        self.reach.add(other.reach)

    def total(self) -> Counter[Change]:
        """Return all generated cases by change."""
        total: Counter[Change] = Counter()
        for counts in self.counts.values():
            total.update(counts)
        return total

    def reasons(self, blocking: Collection[Change]) -> Counter[Change]:
        """Return what blocks, counted: differences and saved regressions, and what is unjudged."""
        found: Counter[Change] = Counter(d.change for d in self.differences)
        found.update(r.change for r in self.replays if r.change != "unjudged")
        if self.unjudged:
            found["unjudged"] += self.unjudged.total()
        return Counter({change: n for change, n in found.items() if change in blocking})

    def verdict(self, blocking: Collection[Change]) -> Verdict:
        """Return what is decided.

        Args:
            blocking: the changes that block.
        """
        if self.reasons(blocking):
            judged = self.total() + Counter(r.change for r in self.replays)
            # Where nothing at all was judged, nothing speaks against the upgrade either.
            return "blocked" if set(judged) - {"unjudged"} else "could not judge"
        judged_any = any(n for c, n in self.total().items() if c != "unjudged")
        judged_any = judged_any or any(r.change != "unjudged" for r in self.replays)
        return "could not judge" if self.interrupted or not judged_any else "pass"
