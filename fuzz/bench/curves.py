"""Survival curves of ``ropefuzz bench bugs``: how many runs have not yet found their bug."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from fuzz.bench.exposure import METHODS, Budget, Run
from fuzz.bench.tables import TITLES
from fuzz.figure import new_figure, write_figure

COLOURS: Final = {"ropefuzz": "#0b5fa5", "uniform": "#b8500f", "grid": "#5a5a5a"}
STYLES: Final = {"ropefuzz": "-", "uniform": "--", "grid": ":"}


def survival(runs: Sequence[Run]) -> tuple[list[int], list[float], list[int]]:
    """Return the Kaplan-Meier estimate of the share of runs that have not found their bug.

    Args:
        runs: of one method.

    Returns:
        Cases at which the share falls (the first is 0), the share from there on, and the cases
        after which runs ended without finding theirs (censored).
    """
    cases, shares = [0], [1.0]
    for at in sorted({r.cases for r in runs if r.found}):
        at_risk = sum(r.cases >= at for r in runs)
        now = sum(r.found and r.cases == at for r in runs)
        cases.append(at)
        shares.append(shares[-1] * (1 - now / at_risk))
    return cases, shares, sorted(r.cases for r in runs if not r.found)


def draw(path: Path, runs: Sequence[Run], budget: Budget) -> None:
    """Draw the curves of all methods into a file.

    Args:
        path: its suffix decides between SVG and PNG.
        runs: of all methods; those that could not be run are left out.
        budget: of each run.

    Raises:
        UsageProblem: matplotlib is not installed.
        OSError: the file cannot be written.
    """
    figure = new_figure(6.4, 3.6)
    axes = figure.add_subplot()
    for method in METHODS:
        mine = [r for r in runs if r.method == method and not r.problem]
        if not mine:
            continue
        cases, shares, censored = survival(mine)
        found = sum(r.found for r in mine)
        axes.step(
            [*(max(c, 0.5) for c in cases), budget.cases],
            [*shares, shares[-1]],
            where="post",
            color=COLOURS[method],
            linestyle=STYLES[method],
            label=f"{TITLES[method]} ({found} of {len(mine)} runs found theirs)",
        )
        marks = sorted(set(censored))
        heights = [_at(c, cases, shares) for c in marks]
        axes.plot(marks, heights, "|", color=COLOURS[method], markersize=9)
    axes.set_xscale("log")
    axes.set_xlim(0.5, budget.cases * 1.1)
    axes.set_ylim(0, 1.02)
    axes.set_xlabel("cases (| runs that ended without their bug)")
    axes.set_ylabel("share of runs without their bug")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower left", fontsize=8)
    write_figure(figure, path, svg_fonttype="none")


def _at(case: int, cases: Sequence[int], shares: Sequence[float]) -> float:
    return next(s for c, s in zip(reversed(cases), reversed(shares), strict=True) if c <= case)
