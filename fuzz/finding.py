"""The Finding: a minimized failing case, and how sure it is."""

from __future__ import annotations

import builtins
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from fuzz.claims import ACROSS
from fuzz.target import Target
from fuzz.verdict import Signature
from strategies.case import Case

REPLAY: Final = ("ropefuzz", "replay")

RESTRICTED: Final = "restricted"
"""In place of an exception's type: it is refused, which by itself is no failure."""

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
        again: the command that shows it again, given its file.
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
    again: tuple[str, ...] = REPLAY

    @builtins.property
    def status(self) -> Status:
        """``flaky`` where fresh processes disagree; that is never a failure of a run."""
        if self.runs == 0:
            return "unconfirmed"
        return "confirmed" if self.failed == self.runs else "flaky"


def takes_two(property_id: str, signature: Signature) -> bool:
    """Tell whether a failure shows only where two releases are compared."""
    return ACROSS.id in (property_id, signature.property) or signature.what == RESTRICTED
