"""The options of ``ropefuzz bench``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Final

BENCH: Final = """\
Measure on this machine:
  bugs       known bugs of released transformers: found or not, how soon, how small
  faults     that every fault is survived and told, as a table
  flash      how far flash_attention_2 is from eager, and whether a defect in it would show
  guards     what the guards cost on a forward
  isolation  what isolation costs
  reports    how long ten thousand events and 200 findings take to be written, and how large that is
  map        whether the rule of the map of the original bug is true of sizes drawn at random
  plants     how soon planted defects are found
  shrinking  a failure that kills its process made small, by forks and by --fresh-process
  soak       cases with faults injected at random for a given time: what was detected, what leaked
"""


def add_parser(commands: Any) -> None:  # noqa: ANN401 - argparse names no type for it
    """Add ``bench`` to a parser's commands."""
    from fuzz import cli

    bench = commands.add_parser(
        "bench",
        help="measure what ropefuzz costs, survives and finds",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description=BENCH,
    )
    bench.add_argument(
        "what",
        choices=[
            "bugs",
            "faults",
            "flash",
            "guards",
            "isolation",
            "map",
            "plants",
            "reports",
            "shrinking",
            "soak",
        ],
        metavar="WHAT",
    )
    bench.add_argument(
        "--rounds", type=cli.count, help="repetitions (default: 5; faults, reports and shrinking 1)"
    )
    bench.add_argument(
        "--time", type=cli.duration, default=600.0, metavar="T", help="of soak (default: 10m)"
    )
    bench.add_argument(
        "--cases", type=cli.count, metavar="N", help="of flash (default: 1000) and bugs (500)"
    )
    bench.add_argument(
        "--seed", type=int, default=0, help="of soak and flash (default: %(default)s)"
    )
    bench.add_argument(
        "--bug", action="append", default=[], metavar="ID", help="of bugs: only this one; repeat it"
    )
    bench.add_argument(
        "--results",
        type=Path,
        metavar="FILE",
        help="of bugs: keep what was run in this .json, and go on from there",
    )
