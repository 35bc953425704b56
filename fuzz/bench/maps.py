"""``ropefuzz bench map``: is the rule that a map gives true of sizes that were not run for it?"""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from fuzz.errors import CannotJudge
from fuzz.isolation.supervisor import Supervisor
from fuzz.map.axes import AXES
from fuzz.map.main import Map, rule_of, sweep_map
from fuzz.map.sweep import Mark, Point, Swept
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
    with Supervisor(Target(plants=(PLANT,))) as supervisor:
        began = time.monotonic()
        made, swept, sentence = drawn_map(supervisor)
        release = made.saved.versions["transformers"]
        share = len(swept.ran) / len(swept.marks)
        print(
            f"{PLANT}, transformers {release}: {len(swept.ran)} runs for {len(swept.marks)} sizes "
            f"({100 * share:.1f} %), {time.monotonic() - began:.0f} s"
        )
        print(sentence)
        worst = 0
        for number in range(rounds):
            began = time.monotonic()
            failed, against = runs_against(supervisor, swept.marks, POINTS, number)
            worst = max(worst, against)
            print(
                f"round {number + 1}: {POINTS} sizes drawn at random and run, {failed} fail, "
                f"{against} contradict the map, {time.monotonic() - began:.0f} s"
            )
    return 1 if worst else 0


def drawn_map(supervisor: Supervisor) -> tuple[Map, Swept, str]:
    """Draw the map of the original bug over all image sizes up to :data:`SIDE`.

    Args:
        supervisor: of a target with the bug planted.

    Returns:
        The map, what is known of its points, and its rule.

    Raises:
        CannotJudge: the bug does not show.
    """
    ready = supervisor.start()
    first = supervisor.check("no_crash", SMALLEST)
    if first.signature is None:
        raise CannotJudge(f"{PLANT} does not fail: {first.message}")
    saved = Regression(
        Path(),
        "no_crash",
        SMALLEST,
        first.signature,
        first.message,
        Target(plants=(PLANT,)),
        ready.versions,
    )
    axes, span = (AXES["width"], AXES["height"]), range(1, SIDE + 1)
    geometry = geometry_from_plain(ready.info["geometry"])
    made = Map(saved, axes, span, span, geometry, {}, {}, {})
    swept = sweep_map(supervisor, made, lambda _: None)
    return made, swept, rule_of(made, swept).sentence


def runs_against(
    supervisor: Supervisor, marks: Mapping[Point, Mark], points: int, seed: int
) -> tuple[int, int]:
    """Run sizes drawn at random, and return how many fail and how many contradict a map."""
    draw = random.Random(seed)
    against, failed = 0, 0
    for _ in range(points):
        size = (draw.randint(1, SIDE), draw.randint(1, SIDE))
        outcome: Outcome = supervisor.check("no_crash", replace(SMALLEST, rows=((Image(*size),),)))
        failed += outcome.failed
        against += outcome.failed != (marks[size] == "fails")
    return failed, against
