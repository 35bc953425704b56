"""Maps of what a run has found, for its report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from fuzz.errors import UsageProblem
from fuzz.events import Listener, Mapped
from fuzz.finding import Finding, takes_two
from fuzz.isolation.errors import SetupProblem
from fuzz.isolation.supervisor import Supervisor
from fuzz.map.axes import Grid, axes_for
from fuzz.map.draw import legend, signs
from fuzz.map.main import Map, rule_of, sweep_map
from fuzz.map.sweep import Point
from fuzz.regression import Regression
from strategies.geometry import geometry_from_plain

SECONDS: Final = 20.0
"""What a map may take; points that it does not come to are not judged, which it says."""
MOST: Final = 10
"""Findings of a run that get a map."""


def maps_of(
    supervisor: Supervisor,
    findings: Sequence[Finding],
    listener: Listener,
    status: Callable[[str], None] = lambda _: None,
) -> bool:
    """Tell which cases around each finding fail; Ctrl-C leaves the rest out.

    Args:
        supervisor: started with the target that they were found on.
        findings: of a run; a flaky one has no map.
        listener: is told of each map.
        status: told what runs now.

    Returns:
        False after Ctrl-C.
    """
    wanted = [f for f in findings if f.status != "flaky"]
    # What sizes become takes its time, and is the same for all findings of a target.
    grids: dict[Point, Grid | None] = {}
    for finding in wanted[:MOST]:
        if takes_two(finding.property, finding.signature):
            continue
        try:
            listener(map_of(supervisor, finding, status, grids))
        except (SetupProblem, UsageProblem):
            return True
        except KeyboardInterrupt:
            return False
    return True


def map_of(
    supervisor: Supervisor,
    finding: Finding,
    status: Callable[[str], None],
    grids: dict[Point, Grid | None],
) -> Mapped:
    """Return the map around one finding, over the axes that say most of its case.

    Args:
        supervisor: see :func:`maps_of`.
        finding: the finding.
        status: see there.
        grids: what image sizes become, filled in where it is not known.

    Raises:
        SetupProblem: the supervisor is not started, or has no worker any more.
    """
    if supervisor.ready is None:
        raise SetupProblem("broken", "the target is not started")
    saved = Regression(
        path=Path(),
        property=finding.property,
        case=finding.case,
        signature=finding.signature,
        message=finding.message,
        target=finding.target,
        versions=finding.versions,
    )
    axes = axes_for(finding.case)
    xs, ys = (range(axis.low, axis.high + 1) for axis in axes)
    geometry = geometry_from_plain(supervisor.ready.info["geometry"])
    sized = axes[0].of_image
    made = Map(saved, axes, xs, ys, geometry, grids if sized else {}, {}, {})
    swept = sweep_map(supervisor, made, status, SECONDS)
    grids.update(made.grids)
    if swept.stopped:
        raise KeyboardInterrupt
    judged = any(mark in ("fails", "passes") for mark in swept.marks.values())
    sentence = rule_of(made, swept).sentence if judged else "nothing is known"
    if unjudged := sum(mark == "unjudged" for mark in swept.marks.values()):
        sentence += f" ({unjudged} of {len(swept.marks)} points were not judged)"
    rows = signs(swept, xs, ys)
    return Mapped(
        signature=finding.signature,
        labels=(axes[0].label, axes[1].label),
        spans=((xs[0], xs[-1]), (ys[0], ys[-1])),
        rows=tuple(rows),
        legend=tuple(legend(set("".join(rows)))),
        sentence=f"{sentence}; {len(swept.ran)} runs",
    )
