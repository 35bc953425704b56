"""``ropefuzz bisect``: in which releases of transformers does a saved regression fail?"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Literal, TypeAlias

from packaging.version import Version

from fuzz import ledger, regression
from fuzz.environments.store import Environment, Store
from fuzz.errors import CannotJudge, UsageProblem
from fuzz.events import Notice
from fuzz.families import family_of
from fuzz.files import locked
from fuzz.finding import takes_two
from fuzz.isolation.errors import SetupProblem
from fuzz.isolation.supervisor import LINGER, Supervisor
from fuzz.regression import LEDGER, Regression
from fuzz.target import Target
from fuzz.terminal import Terminal
from fuzz.verdict import alike

Look: TypeAlias = Literal["fails", "passes", "unclear"]

_CONFIRM = 2


@dataclass(frozen=True, slots=True)
class Range:
    """Where a regression fails.

    Attributes:
        first_bad: the first release in which it fails; of the oldest that was looked at it is not
            known whether it is the first.
        last_good: the release before it, "" where there is none.
        first_good: the first later release in which it no longer fails, "" while it does.
    """

    first_bad: str
    last_good: str
    first_good: str

    @property
    def affects(self) -> str:
        """The releases as a PEP 440 specifier."""
        end = f",<{self.first_good}" if self.first_good else ""
        return f">={self.first_bad}{end}"


def main(
    arguments: argparse.Namespace,
    store: Store,
    supervise: Callable[[Target, Environment], Supervisor],
    terminal: Terminal,
) -> int:
    """Bisect a regression over the releases of the index.

    Raises:
        UsageProblem: the file or a release cannot be used.
        CannotJudge: no release can be found in which it fails.
    """
    saved = regression.load(arguments.file)
    if takes_two(saved.property, saved.signature):
        raise UsageProblem(f"{arguments.file}: compares two releases, so none of them fails it")
    before = set(store.names())
    family = family_of(saved.target.family)
    releases = [r for r in store.releases() if Version(r) >= Version(family.since)]

    refused: set[str] = set()

    def look(release: str) -> Look:
        found, text = _look(saved, release, store, supervise)
        if found == "refuses":
            refused.add(release)
        terminal(Notice(f"{release:<8} {found:<8} {text}"))
        if not arguments.keep and release not in before and release in store.names():
            store.remove(release)
        # Its claim does not fail there, though nothing says that it holds.
        return "passes" if found == "refuses" else found

    bad = _among(arguments.bad or str(saved.versions.get("transformers", "")), releases)
    good = _among(arguments.good, releases) if arguments.good else ""
    found = find(releases, look, bad, good)
    end = f"not fixed in {releases[-1]}"
    if found.first_good:
        end = f"first {'refused' if found.first_good in refused else 'fixed'} in {found.first_good}"
    start = "no earlier release passes"
    if found.last_good:
        word = "is refused" if found.last_good in refused else "passes"
        start = f"{word} in {found.last_good}"
    terminal.line(f"fails first in {found.first_bad} ({start}), {end}: affects '{found.affects}'")
    for line in _write(saved, arguments.file, found):
        terminal.line(line)
    return 0


def find(releases: Sequence[str], look: Callable[[str], Look], bad: str, good: str = "") -> Range:
    """Find where a failure begins and ends, taking it to be one stretch of releases.

    Args:
        releases: ascending.
        look: what a release does; each is asked once. One that is unclear is passed over.
        bad: a release in which it fails.
        good: an earlier release in which it passes, "" where none is known.

    Raises:
        CannotJudge: it does not fail in the bad release, or fails in the good one.
    """
    seen: dict[int, Look] = {}

    def at(index: int) -> Look:
        if index not in seen:
            seen[index] = look(releases[index])
        return seen[index]

    middle = releases.index(bad)
    if at(middle) != "fails":
        raise CannotJudge(f"it does not fail in {bad}; name a release in which it does by --bad")
    low = releases.index(good) if good else -1
    if good and low >= middle:
        raise UsageProblem(f"--good {good} is not before --bad {bad}")
    if good and at(low) != "passes":
        raise CannotJudge(f"it does not pass in {good}")
    high, step = middle, 1
    while low < 0 and high > 0:
        # Backwards in growing steps: most bugs are found soon after they were made.
        back = max(0, high - step)
        index = next((i for i in range(back, high) if at(i) != "unclear"), None)
        if index is None and back == 0:
            break
        if index is not None and at(index) == "passes":
            low = index
        elif index is not None:
            high = index
        step *= 2
    if low >= 0:
        low, high = _edge(at, low, high, "passes")
    newest = len(releases) - 1
    first_good = ""
    while newest > middle and at(newest) == "unclear":
        newest -= 1
    if newest > middle and at(newest) == "passes":
        _, fixed = _edge(at, middle, newest, "fails")
        first_good = releases[fixed]
    return Range(releases[high], releases[low] if low >= 0 else "", first_good)


def _edge(at: Callable[[int], Look], low: int, high: int, of_low: Look) -> tuple[int, int]:
    """Return the last release that does as the low one and the first that does as the high one."""
    while high - low > 1:
        middle = (low + high) // 2
        # From the middle outwards to one that can be judged.
        order = sorted(range(low + 1, high), key=lambda i: abs(i - middle))
        index = next((i for i in order if at(i) != "unclear"), None)
        if index is None:
            break
        if at(index) == of_low:
            low = index
        else:
            high = index
    return low, high


def _look(
    saved: Regression,
    release: str,
    store: Store,
    supervise: Callable[[Target, Environment], Supervisor],
) -> tuple[Look | Literal["refuses"], str]:
    """Replay a regression in a release; in more than one fresh process, which must agree."""
    target = replace(saved.target, plants=())
    try:
        with store.use(release) as environment, supervise(target, environment) as supervisor:
            supervisor.start()
            said: list[tuple[Look | Literal["refuses"], str]] = []
            for _ in range(_CONFIRM):
                outcome = supervisor.check_fresh(saved.property, saved.case, LINGER)
                if outcome.verdict == "broken":
                    return "unclear", outcome.message
                if not outcome.failed:
                    refused = outcome.verdict == "reject"
                    said.append(("refuses" if refused else "passes", outcome.message))
                elif outcome.signature is not None and alike(outcome.signature, saved.signature):
                    said.append(("fails", outcome.message))
                else:
                    return "unclear", f"fails in another way: {outcome.message}"
    except (SetupProblem, UsageProblem) as problem:
        return "unclear", str(problem)
    if len({verdict for verdict, _ in said}) > 1:
        return "unclear", "fresh processes do not agree"
    return said[0]


def _among(release: str, releases: Sequence[str]) -> str:
    if release in releases:
        return release
    if not release:
        raise UsageProblem("the file names no release in which it fails; name one by --bad")
    span = f"from {releases[0]} to {releases[-1]}" if releases else "none"
    raise UsageProblem(f"{release} is no release of the index that has the family ({span})")


def _write(saved: Regression, file: Path, found: Range) -> list[str]:
    """Write a range into the entry of the ledger beside a file; return what was done."""
    folder = next((p for p in file.resolve().parents if (p / LEDGER).is_file()), None)
    if folder is None:
        return []
    with locked(folder):
        entries = ledger.load(folder)
        # Every window: whether the target slides is not at stake here.
        mine = [
            e for e in entries if ledger.covers(e, saved.target, saved.signature, saved.case, 1)
        ]
        if not mine:
            return [f"{folder / LEDGER}: no entry for it"]
        today = date.today().isoformat()
        new = {e.id: replace(e, affects=found.affects, last_seen=today) for e in mine}
        if all(e.affects == found.affects for e in mine):
            return [f"{folder / LEDGER}: {mine[0].id} says so already"]
        ledger.save(folder, [new.get(e.id, e) for e in entries])
    return [f"{folder / LEDGER}: {e.id}: '{e.affects}' is now '{found.affects}'" for e in mine]
