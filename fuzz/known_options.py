"""The options of ``ropefuzz known``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Final

DESCRIPTION: Final = """\
The ledger names known failures: they are reported as known and never fail a run, a replay or a
gate. Your own stands in the folder of your regressions; the one that ropefuzz ships with holds
failures of transformers itself.
"""


def add_parser(commands: Any) -> None:  # noqa: ANN401 - argparse names no type for it
    """Add ``known`` and its own commands to a parser's commands."""
    known = commands.add_parser("known", help="the ledger of known failures: list, add, prune")
    known.description = DESCRIPTION
    actions = known.add_subparsers(dest="action", required=True, metavar="ACTION")
    folder = argparse.ArgumentParser(add_help=False)
    folder.add_argument(
        "--folder",
        type=Path,
        default=Path("regressions"),
        metavar="DIR",
        help="folder of your regressions and your ledger (default: %(default)s)",
    )
    actions.add_parser("list", parents=[folder], help="list yours and the shipped one")
    add = actions.add_parser(
        "add",
        parents=[folder],
        help="enter a saved failure",
        description="Enter the failure of a regression file, in every case that fails alike.",
    )
    add.add_argument("file", type=Path, metavar="FILE")
    add.add_argument(
        "--affects",
        required=True,
        metavar="RANGE",
        help="releases of transformers that have it, e.g. '>=5.3,<5.5.4' (PEP 440)",
    )
    add.add_argument("--reason", required=True, help="what is wrong, in one sentence")
    add.add_argument("--evidence", default="", help="why it is not a mistake of ours")
    add.add_argument("--url", default="", help="upstream's report")
    add.add_argument("--id", default="", help="short name (default: the file's)")
    add.add_argument(
        "--expires", default="", metavar="DATE", help="from when it counts as new again, YYYY-MM-DD"
    )
    actions.add_parser(
        "prune",
        parents=[folder],
        help="take out what no longer fails",
        description="Replay the regressions of every entry that affects the installed release, "
        "and take out the entries of which not one fails any more. What is not exercised stays.",
    )
