"""What a case's two verdicts, before an upgrade and after it, say of the upgrade."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias, get_args

from fuzz.verdict import FAILURES, Kind

Change: TypeAlias = Literal[
    "same",
    "passing",
    "fixed",
    "changed",
    "known",
    "flaky",
    "restricted",
    "regressed",
    "unjudged",
]

CHANGES: Final[tuple[Change, ...]] = get_args(Change)
BLOCKING: Final[frozenset[Change]] = frozenset({"regressed", "restricted", "unjudged"})
"""What blocks an upgrade unless it is allowed by name."""
FINE: Final[frozenset[Change]] = frozenset({"same", "passing", "fixed", "known"})
"""What nobody needs to look at."""

SENTENCES: Final[dict[Change, str]] = {
    "same": "both releases do the same",
    "passing": "passes in the candidate; not run in the baseline, since it can be no worse",
    "fixed": "fails in the baseline, and no longer in the candidate",
    "changed": "neither is known to be wrong, but the results differ",
    "known": "fails in the candidate as the ledger expects",
    "flaky": "fresh processes do not agree on it",
    "restricted": "runs in the baseline, is refused by the candidate",
    "regressed": "fails in the candidate, and not or not as badly in the baseline",
    "unjudged": "ropefuzz could not judge one of the two sides",
}

_WORSE: Final[tuple[Kind, ...]] = ("error", "fail", "oom", "hang", "crash")
"""Failures, each worse than those before it: an exception tells, a wrong value does not."""


def change(
    baseline: Kind | None,
    candidate: Kind | None,
    *,
    alike: bool = True,
    known: bool = False,
    steady: bool = True,
    asked: bool = True,
) -> Change:
    """Return what two verdicts of the same case say.

    Args:
        baseline: the verdict before the upgrade, None where there is none.
        candidate: the verdict after it, None where there is none.
        alike: whether, with the same verdict on both sides, it is for the same reason: both fail
            with one signature, or both pass with one result.
        known: whether the ledger expects the candidate's failure.
        steady: whether fresh processes have given these verdicts every time.
        asked: whether the baseline was asked: a case that passes in the candidate cannot block,
            so that its verdict before may be left out.
    """
    if not asked and baseline is None and candidate == "pass":
        return "passing"
    if baseline in (None, "broken") or candidate in (None, "broken"):
        return "unjudged"
    if not steady:
        return "flaky"
    if candidate in FAILURES:
        if known:
            return "known"
        if baseline not in FAILURES:
            return "regressed"
        if baseline == candidate:
            return "same" if alike else "changed"
        return "regressed" if _worse(candidate) > _worse(baseline) else "changed"
    if baseline in FAILURES:
        return "fixed"
    if baseline == candidate:
        return "same" if alike else "changed"
    return "restricted" if candidate == "reject" else "changed"


def _worse(verdict: Kind | None) -> int:
    return _WORSE.index(verdict) if verdict in _WORSE else -1
