"""What a run is asked to do, what it holds while it lasts, and what it gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from fuzz import ledger
from fuzz.claims import CLAIMS
from fuzz.events import KnownSeen, Listener
from fuzz.finding import REPLAY, Finding
from fuzz.isolation.told import LateDeath, Ran, Ready
from fuzz.target import Target
from fuzz.verdict import Kind, Outcome, Signature
from strategies.case import Case, has_visuals
from strategies.geometry import Geometry, geometry_from_plain
from strategies.kinds import KINDS, kinds_for
from strategies.kinds import Kind as CaseKind

PROPERTY_KINDS: Final[Mapping[str, CaseKind]] = {kind: kind for kind in KINDS if kind in CLAIMS}
"""Which kind of case each property gets: the strategies name their kinds as we name properties."""


@dataclass(frozen=True, slots=True)
class Options:
    """What a run is asked to do.

    Attributes:
        properties: ids, in the order they are run.
        cases: cases per property, 0 where ``seconds`` decides.
        seconds: wall clock for all properties together, 0 for no limit.
        seed: draws all cases.
        save_to: folder of regressions; it also holds the user's own ledger.
        confirm: fresh processes each finding is confirmed in.
        shrink_attempts: cases that may be tried to make one finding smaller.
        shrink_seconds: wall clock for the same.
        enough: new findings after which a property is left, 0 for never.
        only_images: whether only cases with an image are drawn, and made small to such.
        env: the environment that workers run in, as ``--env`` takes it, "" for the installed one.
        wrap: the command, word by word, that workers run under, none where there is none.
        again: the command, word by word, that shows a finding again, given its file.
    """

    properties: tuple[str, ...] = tuple(CLAIMS)
    cases: int = 100
    seconds: float = 0.0
    seed: int = 0
    save_to: Path = Path("regressions")
    confirm: int = 3
    shrink_attempts: int = 1000
    shrink_seconds: float = 60.0
    enough: int = 0
    only_images: bool = False
    wrap: tuple[str, ...] = ()
    env: str = ""
    again: tuple[str, ...] = REPLAY

    def allows(self, case: Case) -> bool:
        """Tell whether a case is of the kind that was asked for."""
        return not self.only_images or has_visuals(case)


@dataclass(frozen=True, slots=True)
class Report:
    """What a run found.

    Attributes:
        findings: new findings, in the order they were met.
        known: ids of ledger entries that were met.
        counts: generated cases by verdict, per property.
        broken: messages of cases that could not be judged, each once.
        interrupted: whether Ctrl-C ended it.
        fatal: why it could not go on, "" if it could.
    """

    findings: tuple[Finding, ...]
    known: tuple[str, ...]
    counts: Mapping[str, Mapping[Kind, int]]
    broken: tuple[str, ...]
    interrupted: bool
    fatal: str

    @property
    def exit_code(self) -> int:
        """0 nothing new, 1 findings, 3 could not judge; flaky findings are not a failure."""
        if any(f.status != "flaky" for f in self.findings):
            return 1
        checked = any(sum(counts.values()) for counts in self.counts.values())
        return 3 if self.broken or self.interrupted or self.fatal or not checked else 0


class Checker(Protocol):
    """Who checks cases: a :class:`~fuzz.isolation.supervisor.Supervisor`, or a pair of them."""

    in_hand: Ran | None

    @property
    def predecessor(self) -> Ran | None:
        """What the process of the latest check had been given before."""

    def check(self, property_id: str, case: Case, guard: bool = False) -> Outcome:
        """Check a case in a process that may have run others."""

    def check_fresh(
        self,
        property_id: str,
        case: Case,
        linger: float = 0.0,
        guard: bool = False,
        blocking: bool = False,
    ) -> Outcome:
        """Check a case in a process of its own."""

    def explain(self, property_id: str, case: Case) -> list[tuple[str, str]]:
        """Return what more can be said of a failing case, with labels."""

    def late_deaths(self, linger: float = 0.0) -> list[LateDeath]:
        """Return the processes that died after an answer, each once."""

    def replace(self) -> None:
        """Have the next check run in a new process."""


@dataclass(slots=True)
class Session:
    """A started target, and what has been found on it.

    Attributes:
        supervisor: asks the workers.
        target: what is fuzzed.
        ready: what starting it gave.
        options: what was asked for.
        listener: is told what happens.
        entries: the ledger in force.
        findings: new findings so far.
        known: ledger entries met so far, by id.
        counts: generated cases by verdict, per property.
        broken: messages of cases that could not be judged.
        claim: asked once a failure is new here: is it ours to report, and nobody else's?
    """

    supervisor: Checker
    target: Target
    ready: Ready
    options: Options
    listener: Listener
    entries: tuple[ledger.Entry, ...]
    findings: dict[Signature, Finding] = field(default_factory=dict)
    known: dict[str, ledger.Entry] = field(default_factory=dict)
    counts: dict[str, Mapping[Kind, int]] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)
    claim: Callable[[Signature], bool] = lambda _: True

    @property
    def geometry(self) -> Geometry:
        """The sizes at which the target changes."""
        return geometry_from_plain(self.ready.info["geometry"])

    def not_applicable(self, property_id: str) -> str:
        """Return why a property says nothing about this target, "" where it does."""
        if PROPERTY_KINDS[property_id] not in kinds_for(self.geometry):
            return "the target takes no images"
        return str(self.ready.info.get("not_applicable", {}).get(property_id, ""))

    def expects(self, property_id: str, case: Case, signature: Signature) -> bool:
        """Tell whether the ledger expects this failure; the first time, say so."""
        release = self.ready.versions["transformers"]
        window = self.geometry.sliding_window
        entry = ledger.known(self.entries, self.target, signature, case, release, window)
        if entry is not None and entry.id not in self.known:
            self.known[entry.id] = entry
            self.listener(KnownSeen(property_id, entry))
        return entry is not None

    def is_new(self, signature: Signature) -> bool:
        """Tell whether a failure was not found before and is ours to report."""
        return signature not in self.findings and self.claim(signature)
