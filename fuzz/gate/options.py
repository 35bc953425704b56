"""The options of ``ropefuzz gate`` and ``ropefuzz bisect``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Final

from fuzz import options
from fuzz.environments.requirement import INSTALLED, NEWEST
from fuzz.outcome import BLOCKING, CHANGES, SENTENCES
from fuzz.reports import options as reports
from fuzz.target import DTYPES

_WORDS: Final = "\n".join(
    f"  {c:<11} {SENTENCES[c]}{' (blocks)' if c in BLOCKING else ''}" for c in CHANGES
)
GATE: Final = f"""\
May an upgrade of transformers go in? Replays every saved regression in both releases, then draws
fresh cases and checks each of them in both, every property by itself and the results of the two
against each other (version_agreement). What comes of a case:

{_WORDS}

What is worth a finding is made small, confirmed in fresh processes on both sides, and saved. The
last line is the verdict. With FILES nothing is drawn: only these are replayed.

exit codes: 0 pass, 1 blocked, 2 wrong use, 3 could not judge
"""
BISECT: Final = """\
Find the first release of transformers in which a saved regression fails, and the first in which it
no longer does, by replaying it in few releases of the index. Where the ledger beside the file has
an entry for it, the range is written there.
"""


def add_parser(commands: Any) -> None:  # noqa: ANN401 - argparse names no type for it
    """Add ``gate`` and ``bisect`` to a parser's commands."""
    gate = commands.add_parser(
        "gate",
        help="may an upgrade of transformers go in?",
        description=GATE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = gate.add_argument
    what = (
        "a release, a specifier, newest, installed, a requirements or lock file, or a checkout, "
        "wheel or sdist"
    )
    add("files", nargs="*", type=Path, metavar="FILE", help="replay only these regressions")
    add("--baseline", default=INSTALLED, metavar="A", help=f"{what} (default: %(default)s)")
    add("--candidate", default=NEWEST, metavar="B", help="likewise (default: %(default)s)")
    add("--family", action="append", default=[], help="only this one; repeat it (default: all)")
    options.add_checkpoint_options(add)
    add("--property", action="append", default=[], metavar="ID", help="only this one; repeat it")
    add("--attn", default="", help=options.ATTN_HELP)
    add("--dtype", default="exact", help=f"{', '.join(DTYPES)} (default: exact)")
    add("--device", default="cpu", help="torch device (default: cpu)")
    amount = gate.add_mutually_exclusive_group()
    amount.add_argument(
        "--cases", type=options.count, metavar="N", help="per family and property (default: 100)"
    )
    amount.add_argument(
        "--time", type=options.duration, metavar="T", help="for all fresh cases, e.g. 90s, 10m, 2h"
    )
    add("--seed", type=int, help="draws the cases (default: a new one each time)")
    add(
        "--save-to",
        type=Path,
        default=Path("regressions"),
        metavar="DIR",
        help="folder of regressions, for those replayed and those found (default: %(default)s)",
    )
    add("--allow", action="append", default=[], metavar="CHANGE", help="do not block on it")
    add("--block", action="append", default=[], metavar="CHANGE", help="block on it, too")
    add("--summary", type=Path, metavar="FILE", help="the same as --report, as Markdown always")
    reports.add_option(add)
    options.add_images_option(add)
    options.add_limit_options(add)
    options.add_fresh_options(add)

    bisect = commands.add_parser(
        "bisect",
        help="in which releases does a saved regression fail?",
        description=BISECT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    bisect.add_argument("file", type=Path, metavar="FILE")
    bisect.add_argument("--good", default="", metavar="V", help="a release where it passes")
    bisect.add_argument(
        "--bad", default="", metavar="V", help="a release where it fails (default: the file's)"
    )
    bisect.add_argument(
        "--keep", action="store_true", help="keep the environments that were built for it"
    )
    options.add_limit_options(bisect.add_argument)
    options.add_fresh_options(bisect.add_argument)
