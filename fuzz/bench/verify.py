"""``ropefuzz bench catalogue``: does each bug's smallest case show it, there and only there?"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Final

from fuzz.bench.exposure import started
from fuzz.bench.known_bugs import Bug, load
from fuzz.errors import CannotJudge, UsageProblem, choose
from fuzz.isolation.errors import SetupProblem
from fuzz.session import Session
from fuzz.verdict import Outcome

TIMES: Final = 3
"""Fresh processes that the smallest case has to fail in."""


def main(only: Sequence[str]) -> int:
    """Check the catalogue and print a line for each bug; 1 if one is not as it says.

    Args:
        only: ids of bugs, none for all.

    Raises:
        UsageProblem: a bug is unknown.
    """
    bugs = {bug.id: bug for bug in load()}
    for name in only:
        choose("bug", name, bugs)
    wrong = 0
    with ProcessPoolExecutor(max(1, os.cpu_count() or 1)) as pool:
        wanted = [bugs[name] for name in only or bugs]
        for bug, problem in zip(wanted, pool.map(verify, wanted), strict=True):
            print(f"{bug.id:<56} {problem or 'verified'}", flush=True)
            wrong += bool(problem)
    return 1 if wrong else 0


def verify(bug: Bug) -> str:
    """Return what is not as the catalogue says of a bug, "" if all is."""
    try:
        with started(bug, bug.affected, bug.target.dtype) as session:
            there = [_asked(session, bug) for _ in range(TIMES)]
        with started(bug, bug.silent, bug.target.dtype) as session:
            elsewhere = _asked(session, bug)
    except (SetupProblem, UsageProblem, CannotJudge) as problem:
        return str(problem)
    for outcome in there:
        if outcome.signature is None or not bug.matches(outcome.signature):
            return f"{bug.affected}: {_said(outcome)}"
    if elsewhere.verdict not in ("pass", "reject"):
        return f"{bug.silent}: {_said(elsewhere)}"
    return ""


def _asked(session: Session, bug: Bug) -> Outcome:
    """Check the smallest case; on a busy machine a new process may be slow at what it imports."""
    outcome = session.supervisor.check_fresh(bug.property, bug.smallest)
    for _ in range(TIMES - 1):
        if outcome.verdict == "hang" != bug.verdict:
            outcome = session.supervisor.check_fresh(bug.property, bug.smallest)
    return outcome


def _said(outcome: Outcome) -> str:
    signature = outcome.signature
    if signature is None:
        return f"{outcome.verdict} {outcome.message}"
    return f"{outcome.verdict}: {signature.what} in {signature.where}: {outcome.message}"
