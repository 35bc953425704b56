"""The options of ``ropefuzz map`` and ``ropefuzz envelope``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Final

from fuzz import options
from fuzz.map.axes import AXES

_AXES: Final = "\n".join(f"  {a.name:<9} {a.label} ({a.low} to {a.high})" for a in AXES.values())
DESCRIPTION: Final = f"""\
Which cases around a saved failure fail? Two of its numbers are varied, all else stays as it is, and
under the picture stands the simplest rule that says which points fail. Axes, and their ranges:

{_AXES}

Over width and height one run stands for all sizes that become the same grid of merged patches,
after three of each were run and agreed. Over other axes the plane is refined where verdicts differ,
and an edge that was met is followed to its ends; what lies alone inside a mesh of the coarse grid
(an eighth of an axis, or half a merged patch) can be missed. Ctrl-C keeps what is known by then.

exit codes: 0 drawn, 2 wrong use, 3 it does not fail here or not all points could be judged
"""

ENVELOPE: Final = """\
Which image sizes, prompt lengths and uses of caches were verified on this release, and which are
refused or fail? Each is checked by a few properties (no crash, positions by the published rule,
with a cache as without); fuzz for more. Known failures count as failures here. The JSON has, for
each width, stretches of heights with a verdict; fuzz/map/lookup.py reads it and needs nothing else.
"""


def add_parser(commands: Any) -> None:  # noqa: ANN401 - argparse names no type for it
    """Add ``map`` and ``envelope`` to a parser's commands."""
    parser = commands.add_parser(
        "map",
        help="which cases around a saved failure fail, and by which rule?",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("file", type=Path, metavar="FILE")
    add("--over", metavar="X,Y", help="two axes (default: what the case has)")
    add(
        "--range",
        action="append",
        default=[],
        metavar="AXIS=LOW:HIGH",
        help="values of an axis; repeat it",
    )
    add("--save", type=Path, metavar="FILE", help="draw it into a .svg or .png, too")
    add("--plant", action="append", default=[], metavar="NAME")
    options.add_limit_options(add)
    options.add_fresh_options(add)
    options.add_environment_option(add)

    envelope = commands.add_parser(
        "envelope",
        help="which image sizes, prompts and cache uses are in order?",
        description=ENVELOPE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = envelope.add_argument
    options.add_target_options(add)
    add(
        "--to",
        type=options.count,
        default=300,
        metavar="PIXELS",
        help="sides up to, at most 500 (default: 300)",
    )
    add("--json", type=Path, metavar="FILE", help="write it down for input checks (.json)")
    add("--save", type=Path, metavar="FILE", help="draw the first plane into a .svg or .png")
    options.add_limit_options(add)
    options.add_fresh_options(add)
    options.add_environment_option(add)
