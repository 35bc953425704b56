"""``ropefuzz map``: from a saved failure to a picture and a rule."""

from __future__ import annotations

import argparse
import math
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product

from fuzz import regression
from fuzz.errors import CannotJudge, UsageProblem, choose
from fuzz.files import check_place
from fuzz.finding import takes_two
from fuzz.isolation.supervisor import Supervisor
from fuzz.map import plot
from fuzz.map.axes import (
    AXES,
    Axis,
    Grid,
    Ticks,
    axes_for,
    features,
    image_in,
    ticks,
    turns,
    with_an_image,
)
from fuzz.map.draw import picture
from fuzz.map.grids import grids_of
from fuzz.map.probes import was_refused
from fuzz.map.rule import Rule, find_rule
from fuzz.map.sweep import MOST_POINTS, Mark, Point, Swept, sweep
from fuzz.regression import Regression
from fuzz.terminal import Terminal
from fuzz.verdict import alike
from strategies.case import Case
from strategies.geometry import Geometry, geometry_from_plain
from strategies.validity import problems
from strategies.words import describe


@dataclass(slots=True)
class Map:
    """A map in the making.

    Attributes:
        saved: the failure.
        axes: what it is drawn over.
        xs: values of the first axis.
        ys: values of the second axis.
        geometry: the target's sizes.
        grids: merged columns and rows of each image size, empty where none are known.
        said: a message of those points that fail in another way, each once.
        broken: a message of those that could not be judged, each once.
    """

    saved: Regression
    axes: tuple[Axis, Axis]
    xs: Sequence[int]
    ys: Sequence[int]
    geometry: Geometry
    grids: dict[Point, Grid | None]
    said: dict[str, Point]
    broken: dict[str, Point]

    def case(self, point: Point) -> Case:
        """Return the case at a point."""
        one, other = self.axes
        return other.put(one.put(self.saved.case, point[0]), point[1])

    @property
    def merged(self) -> tuple[Ticks, Ticks] | None:
        """Merged patches along the axes, None where they are not image sizes with grids."""
        return ticks(self.grids, (self.axes[0].name, self.axes[1].name), self.xs, self.ys)


def main(
    arguments: argparse.Namespace,
    plants: tuple[str, ...],
    supervise: Callable[..., Supervisor],
) -> int:
    """Draw a map, and return 0, or 3 if not all of it could be judged.

    Raises:
        UsageProblem: the file, an axis or a range cannot be used.
        CannotJudge: the failure does not happen here.
    """
    saved = regression.load(arguments.file)
    if takes_two(saved.property, saved.signature):
        raise UsageProblem(f"{arguments.file}: compares two releases, which has no map")
    axes = _axes(arguments.over, saved.case)
    around = saved
    if any(axis.of_image for axis in axes):
        around = replace(saved, case=with_an_image(saved.case))
    xs, ys = _ranges(arguments.range, axes)
    if arguments.save is not None:
        check_place(arguments.save, plot.SUFFIXES)
    terminal = Terminal()
    target = replace(saved.target, plants=plants)
    with supervise(target) as supervisor:
        terminal.open()
        try:
            ready = supervisor.start()
            geometry = geometry_from_plain(ready.info["geometry"])
            if around != saved and not geometry.images:
                raise UsageProblem(f"--over {arguments.over}: {target.name} takes no images")
            made = Map(around, axes, xs, ys, geometry, {}, {}, {})
            outcome = supervisor.check(saved.property, saved.case)
            if outcome.signature is None or not alike(outcome.signature, saved.signature):
                hint = (
                    ""
                    if plants or not saved.target.plants
                    else (f"; it was found with --plant {' --plant '.join(saved.target.plants)}")
                )
                raise CannotJudge(f"{arguments.file}: does not fail in this way here{hint}")
            swept = sweep_map(supervisor, made, terminal.status)
        finally:
            terminal.close()
    release = ready.versions["transformers"]
    planted = f", planted: {', '.join(plants)}" if plants else ""
    name = f"{saved.property} of {target.name}, transformers {release}{planted}"
    more = ", with an image put before it" if around != saved else ""
    lines = [f"{name}: {describe(saved.case)}{more}", _counted(made, swept)]
    lines += picture(swept, xs, ys, axes[0].label, axes[1].label, made.merged)
    rule = rule_of(made, swept)
    unjudged = sum(m == "unjudged" for m in swept.marks.values())
    sentence = rule.sentence + (" (of the points that were judged)" if unjudged else "")
    lines.append(sentence)
    for text, (x, y) in made.said.items():
        where = f"{axes[0].name} {x}, {axes[1].name} {y}"
        lines.append(f"fails in another way, e.g. at {where}: {text}")
    for text, (x, y) in made.broken.items():
        where = f"{axes[0].name} {x}, {axes[1].name} {y}"
        lines.append(f"could not be judged, e.g. at {where}: {text}")
    if swept.stopped:
        lines.append(f"stopped: {unjudged} of {len(swept.marks)} points were not judged")
    for line in lines:
        terminal.line(line)
    if arguments.save is not None:
        title = f"{name}\n{saved.message}\n{sentence}"
        try:
            plot.save(arguments.save, swept, (axes[0].label, axes[1].label), title, made.merged)
        except OSError as error:
            raise UsageProblem(f"{arguments.save}: cannot be written: {error.strerror}") from None
        terminal.line(f"drawn in {arguments.save}")
    return 3 if unjudged else 0


def rule_of(made: Map, swept: Swept) -> Rule:
    """Return the rule that parts what fails from what passes."""
    told = [(p, m) for p, m in swept.marks.items() if m in ("fails", "passes")]
    frame = made.geometry.frame_tokens
    points = [features(made.case(p), made.grids.get(p), frame) for p, _ in told]
    one, other = (axis.tokens for axis in sorted(made.axes, key=_place))
    compared = [(one, other)] if one and other else []
    return find_rule(points, [m == "fails" for _, m in told], compared)


def _place(axis: Axis) -> int:
    return list(AXES).index(axis.name)


def sweep_map(
    supervisor: Supervisor, made: Map, status: Callable[[str], None], seconds: float = math.inf
) -> Swept:
    """Run a map's points, as few as will do.

    Args:
        supervisor: asks the workers.
        made: the map, whose grids are found out first where they are not known.
        status: told what runs now.
        seconds: after which nothing is run any more, once the grids are known.
    """
    if {a.name for a in made.axes} == {"width", "height"} and not made.grids:
        made.grids = grids_of(
            supervisor, {p: image_in(made.case(p)) for p in product(made.xs, made.ys)}
        )
    done = 0
    until = time.monotonic() + seconds

    def judge(point: Point) -> Mark:
        nonlocal done
        case = made.case(point)
        if problems(case):
            return "invalid"
        if time.monotonic() > until:
            return "unjudged"
        done += 1
        status(f"{done} runs, now {describe(case)}")
        outcome = supervisor.check(made.saved.property, case)
        if outcome.verdict == "pass":
            return "passes"
        if was_refused(outcome, case, made.geometry):
            return "refused"
        if outcome.verdict == "broken":
            made.broken.setdefault(outcome.message, point)
            return "unjudged"
        if outcome.signature is not None and alike(outcome.signature, made.saved.signature):
            return "fails"
        made.said.setdefault(outcome.message, point)
        return "other"

    known = (turns(made.axes[0], made.geometry), turns(made.axes[1], made.geometry))
    return sweep(made.xs, made.ys, judge, made.grids or None, known)


def _counted(made: Map, swept: Swept) -> str:
    one, other = made.axes
    span = f"{one.name} {made.xs[0]} to {made.xs[-1]}, {other.name} {made.ys[0]} to {made.ys[-1]}"
    runs = f"{len(swept.ran)} runs for {len(swept.marks)} points"
    if swept.classes:
        return (
            f"{span}: {runs}, since they make {swept.classes} grids, of which each was run thrice"
        )
    return f"{span}: {runs}, more where verdicts differ"


def _axes(text: str | None, case: Case) -> tuple[Axis, Axis]:
    if text is None:
        return axes_for(case)
    names = text.split(",")
    if len(names) != 2 or names[0] == names[1]:
        raise UsageProblem(f"--over: expected two axes, e.g. width,height, got {text!r}")
    for name in names:
        choose("axis", name, AXES)
    return AXES[names[0]], AXES[names[1]]


def _ranges(texts: Sequence[str], axes: tuple[Axis, Axis]) -> tuple[range, range]:
    spans = {a.name: (a.low, a.high) for a in axes}
    for text in texts:
        match = re.fullmatch(r"(\w+)=(\d+):(\d+)", text)
        if match is None:
            raise UsageProblem(f"--range: expected AXIS=LOW:HIGH, got {text!r}")
        name, low, high = match[1], int(match[2]), int(match[3])
        choose("axis of this map", name, spans)
        if not AXES[name].low <= low <= high:
            raise UsageProblem(
                f"--range {name}: expected {AXES[name].low} <= LOW <= HIGH, got {low} and {high}"
            )
        spans[name] = (low, high)
    (a, b), (c, d) = (spans[axis.name] for axis in axes)
    if (b - a + 1) * (d - c + 1) > MOST_POINTS:
        raise UsageProblem(f"--range: expected at most {MOST_POINTS} points, got more")
    return range(a, b + 1), range(c, d + 1)
