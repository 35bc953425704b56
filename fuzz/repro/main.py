"""``ropefuzz repro``."""

from __future__ import annotations

from pathlib import Path

from fuzz import ledger, regression
from fuzz.errors import UsageProblem
from fuzz.families import family_of
from fuzz.regression import Regression
from fuzz.repro.facts import facts_of
from fuzz.repro.issue import issue_of
from fuzz.repro.script import script_of


def main(path: Path, issue: bool = False) -> int:
    """Print the script of a saved finding, or the body of a report with it.

    Raises:
        UsageProblem: the file cannot be used, or no script can show what it holds.
    """
    print(text_of(path, issue), end="")
    return 0


def text_of(path: Path, issue: bool = False) -> str:
    """Return what :func:`main` prints."""
    if path.is_dir():
        raise UsageProblem(f"{path}: a folder; expected one regression file")
    saved = regression.load(path)
    entry = known_as(saved)
    try:
        script = script_of(saved, entry)
    except UsageProblem as problem:
        text = str(problem)
        raise UsageProblem(text if text.startswith(str(path)) else f"{path}: {text}") from None
    return issue_of(saved, entry, script) if issue else script


def known_as(saved: Regression) -> ledger.Entry | None:
    """Return what the ledgers say of a finding: the shipped one, and that of its folder."""
    folder = saved.path.resolve().parent.parent
    window = facts_of(family_of(saved.target.family)).window
    if saved.target.plants:
        return None
    for entry in (*ledger.shipped(), *ledger.load(folder)):
        if ledger.covers(entry, saved.target, saved.signature, saved.case, window):
            return entry
    return None
