"""``ropefuzz envelope``: what was verified of a family on this release, for input checks."""

from __future__ import annotations

import argparse
import datetime
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any, Final

from fuzz import ledger
from fuzz.errors import CannotJudge, UsageProblem
from fuzz.files import check_place, write_json
from fuzz.isolation.supervisor import Supervisor
from fuzz.isolation.told import Ready
from fuzz.map import lookup, plot
from fuzz.map.axes import AXES, Axis, Grid, image_in, ticks, turns
from fuzz.map.draw import picture
from fuzz.map.grids import grids_of
from fuzz.map.probes import Plane, Use, planes, uses, was_refused
from fuzz.map.sweep import MOST_POINTS, Mark, Point, Swept, sweep
from fuzz.target import Target
from fuzz.terminal import Terminal
from strategies.case import Case
from strategies.geometry import Geometry, geometry_from_plain
from strategies.validity import problems
from strategies.words import describe

VERDICTS: Final[Mapping[Mark, str]] = {
    "passes": "verified",
    "refused": "refused",
    "fails": "fails",
    "other": "unknown",
    "unjudged": "unknown",
    "invalid": "unknown",
}


@dataclass(slots=True)
class Probe:
    """A started target, asked whether uses of it are in order.

    Attributes:
        supervisor: asks the workers.
        target: the target.
        ready: what starting it gave.
        entries: the ledger in force, which names what is known.
        terminal: shows how far it is.
        failures: what was met, each once, with an example.
        broken: what could not be judged, each once.
        runs: checks so far.
    """

    supervisor: Supervisor
    target: Target
    ready: Ready
    entries: tuple[ledger.Entry, ...]
    terminal: Terminal
    failures: dict[str, str] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)
    runs: int = 0

    @property
    def geometry(self) -> Geometry:
        """The target's sizes."""
        return geometry_from_plain(self.ready.info["geometry"])

    def check(self, property_id: str, case: Case) -> Mark:
        """Check one case; what fails is noted."""
        self.runs += 1
        self.terminal.status(f"{self.runs} checks, now {property_id}: {describe(case)}")
        outcome = self.supervisor.check(property_id, case)
        if outcome.verdict == "pass":
            return "passes"
        if was_refused(outcome, case, self.geometry):
            return "refused"
        if outcome.verdict == "broken" or outcome.signature is None:
            self.broken.setdefault(outcome.message, describe(case))
            return "unjudged"
        release = self.ready.versions["transformers"]
        window = self.geometry.sliding_window
        known = ledger.known(self.entries, self.target, outcome.signature, case, release, window)
        name = f"known {known.id}: {known.reason}" if known else outcome.message
        self.failures.setdefault(name, describe(case))
        return "fails"


def main(
    arguments: argparse.Namespace, target: Target, supervise: Callable[..., Supervisor]
) -> int:
    """Find out what works, print it, and write it down; Ctrl-C keeps what is known by then.

    Raises:
        UsageProblem: an option is wrong.
        CannotJudge: nothing could be judged.
    """
    if arguments.to**2 > MOST_POINTS:
        most = math.isqrt(MOST_POINTS)
        raise UsageProblem(f"--to: expected at most {most} pixels, got {arguments.to}")
    if arguments.json is not None:
        check_place(arguments.json, (".json",))
    if arguments.save is not None:
        check_place(arguments.save, plot.SUFFIXES)
    terminal = Terminal()
    swept: dict[str, Swept] = {}
    with supervise(target) as supervisor:
        terminal.open()
        try:
            ready = supervisor.start()
            probe = Probe(supervisor, target, ready, ledger.shipped(), terminal)
            grids: dict[Point, Grid | None] = {}
            cached: list[tuple[Use, Mark]] = []
            stopped = False
            for plane in planes(probe.geometry.images):
                if not stopped:
                    swept[plane.name], some = _swept(probe, plane, arguments.to)
                    grids = grids or some
                    stopped = swept[plane.name].stopped
            try:
                for use in () if stopped else uses(probe.geometry.images):
                    cached.append((use, probe.check("cache_agreement", use.case)))
            except KeyboardInterrupt:
                stopped = True
        finally:
            terminal.close()
    release = ready.versions["transformers"]
    terminal.line(
        f"{target.name} ({target.attn}, {target.dtype}), "
        f"transformers {release}: {probe.runs} checks"
    )
    for plane in planes(probe.geometry.images):
        if plane.name not in swept:
            continue
        axes = [AXES[name] for name in plane.over]
        marks = swept[plane.name]
        terminal.line(
            f"{plane.name}, each by {', '.join(dict.fromkeys(p for p, _ in plane.checks))}"
        )
        xs, ys = sorted({x for x, _ in marks.marks}), sorted({y for _, y in marks.marks})
        merged = ticks(grids, plane.over, xs, ys) if plane.name == "images" else None
        for line in picture(marks, xs, ys, axes[0].label, axes[1].label, merged):
            terminal.line(line)
    for use, mark in cached:
        terminal.line(f"{VERDICTS[mark]:<9} {use.entry}, {use.cache} cache, {use.fed}")
    for text, example in probe.failures.items():
        terminal.line(f"fails: {text} [{example}]")
    for text, example in probe.broken.items():
        terminal.line(f"could not be judged: {text} [{example}]")
    if stopped:
        terminal.line("stopped: what was not reached is unknown")
    data = _plain(probe, swept, cached)
    try:
        place = arguments.json
        if arguments.json is not None:
            write_json(arguments.json, data)
            terminal.line(f"written to {arguments.json}")
        place = arguments.save
        if arguments.save is not None:
            name = planes(probe.geometry.images)[0]
            labels = (AXES[name.over[0]].label, AXES[name.over[1]].label)
            title = f"{target.name} ({target.attn}), transformers {release}"
            marks = swept[name.name]
            xs, ys = sorted({x for x, _ in marks.marks}), sorted({y for _, y in marks.marks})
            plot.save(arguments.save, marks, labels, title, ticks(grids, name.over, xs, ys))
            terminal.line(f"drawn in {arguments.save}")
    except OSError as error:
        raise UsageProblem(f"{place}: cannot be written: {error.strerror}") from None
    if probe.broken and not any(m == "passes" for s in swept.values() for m in s.marks.values()):
        raise CannotJudge("nothing could be judged")
    return 3 if probe.broken or stopped else 0


def _swept(probe: Probe, plane: Plane, to: int) -> tuple[Swept, dict[Point, Grid | None]]:
    one, other = (AXES[name] for name in plane.over)
    xs, ys = _values(one, to), _values(other, to)
    lacking = probe.ready.info.get("not_applicable", {})
    checks = [(p, c) for p, c in plane.checks if p not in lacking]

    def at(point: Point, case: Case) -> Case:
        return other.put(one.put(case, point[0]), point[1])

    def judge(point: Point) -> Mark:
        marks: list[Mark] = []
        for property_id, base in checks:
            case = at(point, base)
            if problems(case):
                continue
            mark = probe.check(property_id, case)
            if mark != "passes":
                return mark
            marks.append(mark)
        return "passes" if marks else "invalid"

    grids: dict[Point, Grid | None] = {}
    if plane.over == ("width", "height"):
        base = plane.checks[0][1]
        images = {p: image_in(at(p, base)) for p in product(xs, ys)}
        grids = grids_of(probe.supervisor, images)
    known = (turns(one, probe.geometry), turns(other, probe.geometry))
    return sweep(xs, ys, judge, grids or None, known), grids


def _values(axis: Axis, to: int) -> range:
    return range(max(1, axis.low) if axis.name == "text" else axis.low, _top(axis, to) + 1)


def _top(axis: Axis, to: int) -> int:
    return to if axis.name in ("width", "height") else axis.high


def _plain(
    probe: Probe, swept: Mapping[str, Swept], cached: list[tuple[Any, Mark]]
) -> dict[str, Any]:
    target = probe.target
    data: dict[str, Any] = {
        "format_version": lookup.FORMAT_VERSION,
        "kind": "ropefuzz envelope",
        "family": target.family,
        "model": target.model,
        "weights": target.weights,
        "attn": target.attn,
        "dtype": target.dtype,
        "device": target.device,
        "plants": list(target.plants),
        "versions": dict(probe.ready.versions),
        "made": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        "failures": probe.failures,
        "caches": [
            {"entry": u.entry, "cache": u.cache, "fed": u.fed, "verdict": VERDICTS[m]}
            for u, m in cached
        ],
    }
    for plane in planes(probe.geometry.images):
        if plane.name not in swept:
            continue
        data[plane.name] = {
            "over": list(plane.over),
            "by": list(dict.fromkeys(p for p, _ in plane.checks)),
            "rows": _rows(swept[plane.name]),
        }
    return data


def _rows(swept: Swept) -> dict[str, list[list[Any]]]:
    """Return stretches of equal verdicts: for each x its [first y, last y, verdict]."""
    rows: dict[str, list[list[Any]]] = {}
    for (x, y), mark in sorted(swept.marks.items()):
        row = rows.setdefault(str(x), [])
        if row and row[-1][2] == VERDICTS[mark] and row[-1][1] == y - 1:
            row[-1][1] = y
        else:
            row.append([y, y, VERDICTS[mark]])
    return rows
