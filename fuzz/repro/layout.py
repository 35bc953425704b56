"""Laying out the text of a script."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from typing import Final

WIDTH: Final = 100
WIDEST: Final = 120
"""Columns of a script that would have too many lines."""


def literal(value: object) -> str:
    """Return a value as Python source, with double quotes."""
    text = repr(value)
    return text if '"' in text else text.replace("'", '"')


def broken(line: str, width: int = WIDTH) -> list[str]:
    """Break a line of source that is too long after commas; it is inside of brackets there."""
    if len(line) <= width or line.startswith("#"):
        return [line]
    indent = " " * (len(line) - len(line.lstrip()) + 4)
    lines, now = [], ""
    for part in _PARTS.findall(line):
        if len((now + part).rstrip()) > width and now.strip():
            lines.append(now.rstrip())
            now = indent
        now += part
    return [*lines, now]


_PARTS: Final = re.compile(r"""((?:[^,"']|"[^"]*"|'[^']*')+(?:, ?|$)|, ?)""")
"""What stands between commas, strings in one piece, with the comma and the space after it."""


def comment(paragraphs: Sequence[str], width: int = WIDTH) -> list[str]:
    """Return paragraphs as lines of one comment."""
    return [
        line
        for text in paragraphs
        for line in textwrap.wrap(
            " ".join(text.split()),
            width,
            initial_indent="# ",
            subsequent_indent="# ",
            break_on_hyphens=False,
        )
    ]


def indented(lines: Sequence[str]) -> list[str]:
    """Return lines one level further in."""
    return [f"    {line}" if line else "" for line in lines]
