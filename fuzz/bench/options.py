"""The options of ``ropefuzz bench``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Final

from fuzz import options

BENCH: Final = """\
Measure on this machine:
  bugs       known bugs of released transformers: found or not, how soon, how small
  catalogue  that the smallest case of each of these bugs shows it, and only where it is
  faults     that every fault is survived and told, as a table
  flash      how far flash_attention_2 is from eager, and whether a defect in it would show
  guards     what the guards cost on a forward
  isolation  what isolation costs
  reports    how long ten thousand events and 200 findings take to be written, and how large that is
  map        whether the rule of the map of the original bug is true of sizes drawn at random
  mutants    which planted defects are seen, in every family that has the code, as a matrix
  plants     how soon planted defects are found
  shrinking  a failure that kills its process made small, by forks and by --fresh-process
  soak       cases with faults injected at random for a given time: what was detected, what leaked
  tables     of the results of bugs: a table (.md) and survival curves (.svg) beside the file
"""


def add_parser(commands: Any) -> None:  # noqa: ANN401 - argparse names no type for it
    """Add ``bench`` to a parser's commands."""
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
            "catalogue",
            "faults",
            "flash",
            "guards",
            "isolation",
            "map",
            "mutants",
            "plants",
            "reports",
            "shrinking",
            "soak",
            "tables",
        ],
        metavar="WHAT",
    )
    bench.add_argument(
        "--rounds",
        type=options.count,
        help="repetitions (default: 5; faults, reports and shrinking 1)",
    )
    bench.add_argument(
        "--time", type=options.duration, default=600.0, metavar="T", help="of soak (default: 10m)"
    )
    bench.add_argument(
        "--cases", type=options.count, metavar="N", help="of flash (default: 1000) and bugs (500)"
    )
    bench.add_argument(
        "--silent",
        type=options.count,
        default=210,
        metavar="N",
        help="of bugs: cases of a run on a release without the bug (default: %(default)s)",
    )
    bench.add_argument(
        "--seed", type=int, default=0, help="of soak and flash (default: %(default)s)"
    )
    bench.add_argument(
        "--bug",
        action="append",
        default=[],
        metavar="ID",
        help="of bugs and catalogue: only this one",
    )
    bench.add_argument(
        "--results",
        type=Path,
        metavar="FILE",
        help="of bugs and mutants: keep what was run in this .json, and go on from there",
    )
    bench.add_argument(
        "--family", action="append", default=[], metavar="F", help="of mutants: only this one"
    )
