"""Maps of what a run has found, for its report."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from fuzz.errors import UsageProblem
from fuzz.events import Listener, Mapped
from fuzz.finding import Finding, takes_two
from fuzz.isolation.errors import SetupProblem
from fuzz.isolation.supervisor import Supervisor
from fuzz.map.axes import SIZES, Axis, Grid, axes_for, axes_of_text, with_an_image
from fuzz.map.draw import legend, signs
from fuzz.map.main import Map, rule_of, sweep_map
from fuzz.map.sweep import Point, Swept
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

    Where all of it does the same, the other pair of axes is looked at in what time is left: the
    size of an image, put before the text where there was none, or else texts and chunks.

    Args:
        supervisor: see :func:`maps_of`.
        finding: the finding.
        status: see there.
        grids: what image sizes become, filled in where it is not known.

    Raises:
        SetupProblem: the supervisor is not started, or has no worker any more.
    """
    saved = Regression(
        path=Path(),
        property=finding.property,
        case=finding.case,
        signature=finding.signature,
        message=finding.message,
        target=finding.target,
        versions=finding.versions,
    )
    until = time.monotonic() + SECONDS
    made, swept = _over(supervisor, saved, axes_for(saved.case), status, until, grids)
    more = ""
    if not _parted(swept):
        # One colour tells little: the other pair of axes may part what fails from what passes.
        others, put = _others(made)
        if others is not None and time.monotonic() < until:
            second = _over(supervisor, put, others, status, until, grids)
            if _parted(second[1]):
                one, other = made.axes
                everywhere = rule_of(made, swept).sentence
                image = ", with an image put before it" if put != saved else ""
                more = f"{image} (over {one.label} and {other.label} it {everywhere})"
                made, swept = second
    judged = any(mark in ("fails", "passes") for mark in swept.marks.values())
    sentence = rule_of(made, swept).sentence if judged else "nothing is known"
    if unjudged := sum(mark == "unjudged" for mark in swept.marks.values()):
        sentence += f" ({unjudged} of {len(swept.marks)} points were not judged)"
    rows = signs(swept, made.xs, made.ys)
    return Mapped(
        signature=finding.signature,
        labels=(made.axes[0].label, made.axes[1].label),
        spans=((made.xs[0], made.xs[-1]), (made.ys[0], made.ys[-1])),
        rows=tuple(rows),
        legend=tuple(legend(set("".join(rows)))),
        sentence=f"{sentence}{more}; {len(swept.ran)} runs",
    )


def _over(
    supervisor: Supervisor,
    saved: Regression,
    axes: tuple[Axis, Axis],
    status: Callable[[str], None],
    until: float,
    grids: dict[Point, Grid | None],
) -> tuple[Map, Swept]:
    """Sweep a pair of axes until a time; Ctrl-C is passed on."""
    if supervisor.ready is None:
        raise SetupProblem("broken", "the target is not started")
    xs, ys = (range(axis.low, axis.high + 1) for axis in axes)
    geometry = geometry_from_plain(supervisor.ready.info["geometry"])
    made = Map(saved, axes, xs, ys, geometry, grids if axes[0].of_image else {}, {}, {})
    swept = sweep_map(supervisor, made, status, until - time.monotonic())
    grids.update(made.grids)
    if swept.stopped:
        raise KeyboardInterrupt
    return made, swept


def _others(made: Map) -> tuple[tuple[Axis, Axis] | None, Regression]:
    """Return the other pair of axes, None where there is none, and what is varied over it."""
    case = made.saved.case
    if made.axes == SIZES:
        return axes_of_text(case), made.saved
    if not made.geometry.images:
        return None, made.saved
    return SIZES, replace(made.saved, case=with_an_image(case))


def _parted(swept: Swept) -> bool:
    """Tell whether some points fail and others do not."""
    return {"fails", "passes"} <= set(swept.marks.values())
