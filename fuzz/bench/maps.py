"""``ropefuzz bench map``: is the rule that a map gives true of sizes that were not run for it?"""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from fuzz.isolation.supervisor import Supervisor
from fuzz.map.axes import AXES
from fuzz.map.main import Map, rule_of, sweep_map
from fuzz.map.sweep import Mark, Point
from fuzz.regression import Regression
from fuzz.target import Target
from fuzz.verdict import Outcome
from strategies.case import Case, Image
from strategies.geometry import geometry_from_plain

PLANT: Final = "rotary-table-short"
POINTS: Final = 250
SIDE: Final = 200
SMALLEST: Final = Case(rows=((Image(4, 1),),))


def main(rounds: int) -> int:
    """Draw the map of the original bug, then run sizes drawn at random; 1 if any contradicts it."""
    target = Target(plants=(PLANT,))
    axes, span = (AXES["width"], AXES["height"]), range(1, SIDE + 1)
    with Supervisor(target) as supervisor:
        ready = supervisor.start()
        first = supervisor.check("no_crash", SMALLEST)
        if first.signature is None:
            print(f"{PLANT} does not fail: {first.message}")
            return 1
        saved = Regression(
            Path(), "no_crash", SMALLEST, first.signature, first.message, target, ready.versions
        )
        geometry = geometry_from_plain(ready.info["geometry"])
        made = Map(saved, axes, span, span, geometry, {}, {}, {})
        began = time.monotonic()
        swept = sweep_map(supervisor, made, lambda _: None)
        share = len(swept.ran) / len(swept.marks)
        print(
            f"{PLANT}, transformers {ready.versions['transformers']}: {len(swept.ran)} runs for "
            f"{len(swept.marks)} sizes ({100 * share:.1f} %), {time.monotonic() - began:.0f} s"
        )
        print(rule_of(made, swept).sentence)
        against = sum(_round(supervisor, swept.marks, number) for number in range(rounds))
    return 1 if against else 0


def _round(supervisor: Supervisor, marks: Mapping[Point, Mark], number: int) -> int:
    draw = random.Random(number)
    sizes = [(draw.randint(1, SIDE), draw.randint(1, SIDE)) for _ in range(POINTS)]
    began, against, failed = time.monotonic(), 0, 0
    for size in sizes:
        outcome: Outcome = supervisor.check("no_crash", replace(SMALLEST, rows=((Image(*size),),)))
        failed += outcome.failed
        against += outcome.failed != (marks[size] == "fails")
    print(
        f"round {number + 1}: {POINTS} sizes drawn at random and run, {failed} fail, {against} "
        f"contradict the map, {time.monotonic() - began:.0f} s"
    )
    return against
