"""The results of ``ropefuzz bench bugs`` as Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from fuzz.bench.exposure import METHODS, Budget, Run, Silent
from fuzz.bench.known_bugs import Bug
from fuzz.bench.rates import clopper_pearson

TITLES: Final = {
    "ropefuzz": "ropefuzz",
    "uniform": "uniform random cases",
    "grid": "the fixed grid of transformers' tests",
}
PER: Final = 10_000


def lines(runs: Sequence[Run], silent: Sequence[Silent], bugs: Mapping[str, Bug]) -> list[str]:
    """Return what was measured: all bugs together, each bug, and every alarm.

    Args:
        runs: on affected releases.
        silent: on the others.
        bugs: the catalogue by id.
    """
    return [
        *summary(runs, silent),
        "",
        *by_bug(runs, bugs),
        *(f"  {s.bug}, {s.dtype}, seed {s.seed}: {text}" for s in silent for text in s.alarms),
    ]


def summary(runs: Sequence[Run], silent: Sequence[Silent]) -> list[str]:
    """Return the table over all bugs."""
    ways = [[r for r in runs if r.method == method] for method in METHODS]
    rows: list[tuple[str, Iterable[str]]] = [
        ("bugs found with every seed", (_whole(way) for way in ways)),
        ("bugs found with any seed", (_any(way) for way in ways)),
        ("runs that found theirs", (f"{len(_found(way))} of {len(way)}" for way in ways)),
        ("cases to meet one, median of all runs", (_middle(way, "cases") for way in ways)),
        ("seconds to meet one, median of all runs", (_middle(way, "seconds") for way in ways)),
        ("smallest case at most one element over the smallest known", map(_small, ways)),
    ]
    return [
        f"| | {' | '.join(TITLES[method] for method in METHODS)} |",
        "|---|---|---|---|",
        *(f"| {name} | {' | '.join(cells)} |" for name, cells in rows),
        "",
        _alarms([s for s in silent if s.dtype == "exact"], "exact lane"),
        _alarms([s for s in silent if s.dtype != "exact"], "float16"),
    ]


def by_bug(runs: Sequence[Run], bugs: Mapping[str, Bug]) -> list[str]:
    """Return the table of each bug."""
    return [
        "| bug | release | found | cases, median [most] | s to meet | s to keep | smallest case "
        "| uniform | grid |",
        "|---|---|---|---|---|---|---|---|---|",
        *(
            _row([r for r in runs if r.bug == name], bugs[name])
            for name in dict.fromkeys(r.bug for r in runs)
        ),
    ]


def _row(runs: Sequence[Run], bug: Bug) -> str:
    ours, *others = ([r for r in runs if r.method == method] for method in METHODS)
    found = _found(ours)
    cells = ["", "", "", next((r.problem for r in ours if r.problem), "")]
    if found:
        cases = [r.cases for r in found]
        cells = [
            f"{statistics.median(cases):.0f} [{max(cases)}]",
            f"{statistics.median(r.seconds for r in found):.1f}",
            f"{statistics.median(r.kept for r in found):.1f}",
            min((r.words for r in found), key=len),
        ]
    return (
        f"| {bug.title} (`{bug.target.family}`) | {bug.affected} | {len(found)} of {len(ours)} "
        f"| {' | '.join(cells)} | {' | '.join(map(_short, others))} |"
    )


def _short(runs: Sequence[Run]) -> str:
    found = _found(runs)
    if not found:
        return f"0 of {len(runs)}"
    return f"{len(found)} of {len(runs)}, {statistics.median(r.cases for r in found):.0f}"


def _found(runs: Sequence[Run]) -> list[Run]:
    return [r for r in runs if r.found]


def _whole(runs: Sequence[Run]) -> str:
    bugs = {r.bug for r in runs}
    return f"{len(bugs - {r.bug for r in runs if not r.found})} of {len(bugs)}"


def _any(runs: Sequence[Run]) -> str:
    return f"{len({r.bug for r in runs if r.found})} of {len({r.bug for r in runs})}"


def _middle(runs: Sequence[Run], what: str) -> str:
    """Return the median over all runs; one that did not find its bug is later than any that did."""
    if not runs:
        return ""
    values = sorted(float(getattr(r, what)) if r.found else float("inf") for r in runs)
    middle = statistics.median(values)
    return "not reached" if middle == float("inf") else f"{middle:.1f}".removesuffix(".0")


def _small(runs: Sequence[Run]) -> str:
    found = _found(runs)
    small = sum(r.over <= 1 for r in found)
    return f"{small} of {len(found)} ({small / len(found):.0%})" if found else ""


def _alarms(silent: Sequence[Silent], lane: str) -> str:
    """Return a sentence on what failed where nothing should."""
    cases = sum(s.cases for s in silent)
    if not cases:
        return f"{lane}: no cases on releases without the bug"
    alarms = sum(len(s.alarms) for s in silent)
    low, high = (PER * p for p in clopper_pearson(alarms, cases))
    return (
        f"{lane}: {cases} cases on releases without the bug, {alarms} failures that no ledger "
        f"expects: {PER * alarms / cases:.1f} in {PER} (95%, Clopper-Pearson: {low:.1f} to "
        f"{high:.1f})"
    )


def budget_in_words(budget: Budget) -> str:
    """Return a budget as a clause."""
    return f"at most {budget.cases} cases and {budget.seconds:.0f} s each"
