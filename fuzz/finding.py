"""The Finding: a minimized failing case, and how sure it is."""

from __future__ import annotations

import builtins
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from fuzz.target import Target
from fuzz.verdict import Signature
from strategies.case import Case

Status: TypeAlias = Literal["confirmed", "flaky", "unconfirmed"]


@dataclass(frozen=True, slots=True)
class Finding:
    """A failure of one target.

    Attributes:
        property: the property whose check ran into it (what a replay runs).
        signature: what it is.
        message: what broke, in one sentence.
        case: the smallest case that fails this way.
        first: the case that failed first.
        target: what it failed on.
        versions: package versions it failed with.
        runs: fresh processes it was confirmed in.
        failed: in how many of those it failed in the same way.
        attempts: cases tried to make it smaller.
        complete: whether nothing simpler was left to try.
        details: a traceback, stderr or the stack of a hang.
        date: when, ISO 8601 date.
        said: what looking closer has shown, as (label, sentence).
        env: the environment that they had, as ``--env`` takes it, "" for the installed one.
        wrap: the command that its processes ran under, "" for none.
    """

    property: str
    signature: Signature
    message: str
    case: Case
    first: Case
    target: Target
    versions: Mapping[str, str]
    runs: int
    failed: int
    attempts: int
    complete: bool
    details: str
    date: str
    said: tuple[tuple[str, str], ...] = ()
    wrap: str = ""
    env: str = ""

    @builtins.property
    def status(self) -> Status:
        """``flaky`` where fresh processes disagree; that is never a failure of a run."""
        if self.runs == 0:
            return "unconfirmed"
        return "confirmed" if self.failed == self.runs else "flaky"
