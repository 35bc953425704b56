"""The options that ask for reports."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any


def add_option(add: Callable[..., object]) -> None:
    """Add ``--report`` to a command."""
    add(
        "--report",
        action="append",
        default=[],
        type=Path,
        metavar="FILE",
        help="write a report: a page (.html), a summary (.md) or every event as it comes "
        "(.jsonl); repeat it",
    )


def add_parser(commands: Any) -> None:  # noqa: ANN401 - argparse names no type for it
    """Add ``ropefuzz report`` to a parser's commands."""
    parser = commands.add_parser(
        "report",
        help="one page of several runs",
        description="Make one report of the events of several runs, replays and gates (their "
        "--report FILE.jsonl).",
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="EVENTS.jsonl")
    parser.add_argument(
        "-o", "--output", required=True, type=Path, metavar="FILE", help="a .html or .md file"
    )
