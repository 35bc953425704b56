"""``ropefuzz bench map``: is the rule that a map gives true of sizes that were not run for it?"""

from __future__ import annotations

import random
import time
from dataclasses import replace
from typing import Final

from fuzz.isolation.supervisor import Supervisor
from fuzz.target import Target
from strategies.case import Case, Image

PLANT: Final = "rotary-table-short"
POINTS: Final = 250
SIDE: Final = 200


def main(rounds: int) -> int:
    """Run sizes drawn at random for real, and count those that contradict the rule."""
    target = Target(plants=(PLANT,))
    with Supervisor(target) as supervisor:
        ready = supervisor.start()
        print(f"{PLANT}, transformers {ready.versions['transformers']}")
        for number in range(rounds):
            draw = random.Random(number)
            sizes = [[draw.randint(1, SIDE), draw.randint(1, SIDE)] for _ in range(POINTS)]
            grids = supervisor.ask({"op": "sizes", "sizes": sizes})["grids"]
            began, against, failed = time.monotonic(), 0, 0
            for (width, height), grid in zip(sizes, grids, strict=True):
                case = replace(Case(), rows=((Image(width, height),),))
                fails = supervisor.check("no_crash", case).failed
                failed += fails
                against += fails != (min(grid) <= 1)
            seconds = time.monotonic() - began
            print(
                f"round {number + 1}: {POINTS} sizes up to {SIDE}x{SIDE} run, {failed} fail, "
                f"{against} contradict min(merged rows, merged columns) <= 1, {seconds:.0f} s"
            )
    return 0
