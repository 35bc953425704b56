"""One target in two releases: each case is checked in both, and what comes of it is one outcome."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from fuzz.claims import ACROSS
from fuzz.finding import RESTRICTED
from fuzz.gate.both import both
from fuzz.isolation.told import LateDeath, Ran
from fuzz.outcome import Change, change
from fuzz.session import Checker
from fuzz.verdict import Outcome, Signature, without_numbers
from strategies.case import Case


class Side(Checker, Protocol):
    """A supervisor, as a pair uses it."""

    gave: dict[str, Any]
    watch: Callable[[Mapping[str, Sequence[int]]], None] | None

    @property
    def worker_pid(self) -> int | None:
        """The process id of the worker in use."""

    def check(
        self,
        property_id: str,
        case: Case,
        guard: bool = False,
        against: Mapping[str, Any] | None = None,
    ) -> Outcome:
        """Check a case in a process that may have run others."""

    def check_fresh(
        self,
        property_id: str,
        case: Case,
        linger: float = 0.0,
        guard: bool = False,
        blocking: bool = False,
        against: Mapping[str, Any] | None = None,
    ) -> Outcome:
        """Check a case in a process of its own."""


@dataclass(frozen=True, slots=True)
class Compared:
    """A case in two releases.

    Attributes:
        change: what the two say of the upgrade.
        baseline: what the baseline gave.
        candidate: what the candidate gave.
    """

    change: Change
    baseline: Outcome
    candidate: Outcome


@dataclass(slots=True)
class Pair:
    """Two releases of one target, which looks like one supervisor to those who pursue failures.

    What it calls a failure is a change worth pursuing, under the signature that the candidate's
    failure has by itself; everything else passes.

    Attributes:
        baseline: checks in the baseline.
        candidate: checks in the candidate.
        release: the baseline's, for messages.
        expects: whether the ledger expects a failure of the candidate.
        mismatch: why results of the two cannot be compared, "" where they can.
        brief: whether only what can block is of interest, as while a failure is made small: what
            passes in the candidate, or fails as the ledger expects, is not run in the baseline.
        executed: checks run in the two together.
        changes: the change that each pursued signature stands for.
        heard: told of everything that is compared.
        in_hand: see :class:`~fuzz.isolation.supervisor.Supervisor`.
    """

    baseline: Side
    candidate: Side
    release: str = "the baseline"
    expects: Callable[[str, Case, Signature], bool] = lambda *_: False
    mismatch: str = ""
    brief: bool = False
    executed: int = 0
    changes: dict[Signature, Change] = field(default_factory=dict)
    heard: Callable[[Compared], None] = lambda _: None
    in_hand: Ran | None = None

    @property
    def predecessor(self) -> Ran | None:
        """What the candidate's worker had been given before."""
        return self.candidate.predecessor

    def compare(
        self,
        property_id: str,
        case: Case,
        ask: Callable[..., Outcome],
    ) -> Compared:
        """Check a case in both releases.

        Args:
            property_id: the property.
            case: the case.
            ask: asks a side, given it and perhaps ``against``.
        """
        if property_id == ACROSS.id:
            return self._agreement(case, ask)
        self.executed += 1
        if self.brief:
            after = ask(self.candidate)
            if after.verdict == "pass":
                return Compared(change(None, "pass", asked=False), after, after)
            if self._known(property_id, case, after):
                return Compared("known", after, after)
            self.executed += 1
            before = ask(self.baseline)
        else:
            self.executed += 1
            after, before = both(
                lambda: ask(self.candidate), lambda: ask(self.baseline), self._stop_baseline
            )
        return self._judged(property_id, case, before, after)

    def check(self, property_id: str, case: Case, guard: bool = False) -> Outcome:
        """Compare in processes that may have run other cases."""

        def ask(side: Side, **more: Mapping[str, Any]) -> Outcome:
            return side.check(property_id, case, guard, more.get("against"))

        return self._said(property_id, self.compare(property_id, case, ask))

    def check_fresh(
        self,
        property_id: str,
        case: Case,
        linger: float = 0.0,
        guard: bool = False,
        blocking: bool = False,
    ) -> Outcome:
        """Compare in processes of their own."""
        compared = self.compare_fresh(property_id, case, linger, guard, blocking)
        return self._said(property_id, compared)

    def compare_fresh(
        self,
        property_id: str,
        case: Case,
        linger: float = 0.0,
        guard: bool = False,
        blocking: bool = False,
    ) -> Compared:
        """Compare in processes of their own, and return both sides."""

        def ask(side: Side, **more: Mapping[str, Any]) -> Outcome:
            against = more.get("against")
            return side.check_fresh(property_id, case, linger, guard, blocking, against)

        return self.compare(property_id, case, ask)

    def explain(self, property_id: str, case: Case) -> list[tuple[str, str]]:
        """Return what the candidate can say of a failure of its own."""
        return [] if property_id == ACROSS.id else self.candidate.explain(property_id, case)

    def late_deaths(self, linger: float = 0.0) -> list[LateDeath]:
        """Return the candidate's; one of the baseline is no finding."""
        self.baseline.late_deaths()
        return self.candidate.late_deaths(linger)

    def replace(self) -> None:
        """Have the next check run in new processes."""
        self.baseline.replace()
        self.candidate.replace()

    def _stop_baseline(self) -> None:
        """Have a check of the baseline end: its worker is lost."""
        if (pid := self.baseline.worker_pid) is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)

    def _agreement(self, case: Case, ask: Callable[..., Outcome]) -> Compared:
        if self.mismatch:
            apart = Outcome("broken", f"not comparable: {self.mismatch}")
            return Compared("unjudged", apart, apart)
        self.executed += 2
        before = ask(self.baseline)
        gave = self.baseline.gave
        after = ask(self.candidate, **({"against": gave} if before.verdict == "pass" else {}))
        signature = after.signature
        if before.verdict == "pass" and signature is not None and signature.property == ACROSS.id:
            known = self.expects(ACROSS.id, case, signature)
            return Compared(
                "known" if known else change("pass", "pass", alike=False), before, after
            )
        return self._judged(ACROSS.id, case, before, after)

    def _judged(self, property_id: str, case: Case, before: Outcome, after: Outcome) -> Compared:
        found = change(
            before.verdict,
            after.verdict,
            alike=before.signature == after.signature,
            known=self._known(property_id, case, after),
        )
        return Compared(found, before, after)

    def _known(self, property_id: str, case: Case, after: Outcome) -> bool:
        """Tell whether the ledger expects what the candidate gave: then it never blocks."""
        signature = after.signature
        return signature is not None and self.expects(property_id, case, signature)

    def _said(self, property_id: str, compared: Compared) -> Outcome:
        """Return a comparison as the outcome of one check."""
        self.heard(compared)
        found, before, after = compared.change, compared.baseline, compared.candidate
        if found == "unjudged":
            side = before if before.verdict == "broken" else after
            where = "baseline" if before.verdict == "broken" else "candidate"
            message = side.message if self.mismatch else f"in the {where}: {side.message}"
            return Outcome("broken", message, details=side.details)
        text = f"{found} ({_gave(before)} in {self.release}): {after.message}"
        if found == "changed":
            text = f"changed since {self.release}: {after.message}"
        if found == "restricted":
            what = without_numbers(after.message)
            signature = Signature(property_id, "fail", RESTRICTED, "", what)
            told = Outcome("fail", text, signature, after.details, after.seconds)
        elif found == "regressed" or (found == "changed" and before.verdict == "pass"):
            if after.signature is None:
                return Outcome(
                    "pass"
                )  # it runs in the baseline and here, with no result to compare
            told = replace(after, message=text)
        else:
            return Outcome("pass", seconds=after.seconds)
        if told.signature is not None:
            self.changes.setdefault(told.signature, found)
        return told


def _gave(outcome: Outcome) -> str:
    words = {"pass": "passes", "reject": "is refused"}
    return words.get(outcome.verdict, f"gives {outcome.verdict}")
