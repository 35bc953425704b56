"""A map as text: fits a terminal, and needs no colours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from fuzz.map.sweep import Mark, Swept

SIGNS: Final[dict[Mark, str]] = {
    "fails": "#",
    "passes": ".",
    "refused": "r",
    "other": "?",
    "invalid": " ",
}
MIXED: Final = "%"
WORDS: Final[dict[Mark, str]] = {
    "fails": "fails",
    "passes": "passes",
    "refused": "is refused",
    "other": "fails in another way",
    "invalid": "has no meaning",
}
WIDEST: Final = 64
HIGHEST: Final = 32


def picture(swept: Swept, xs: Sequence[int], ys: Sequence[int], x: str, y: str) -> list[str]:
    """Draw a map: the first axis to the right, the second one downwards.

    Args:
        swept: what is known.
        xs: values of the first axis.
        ys: values of the second axis.
        x: the first axis's label.
        y: the second one's.
    """
    across, down = _bins(xs, WIDEST), _bins(ys, HIGHEST)
    margin = max(len(_span(b)) for b in down)
    lines = [f"{'':>{margin}}   {x} ->", _scale(across, margin)]
    used: set[str] = set()
    for rows in down:
        signs = "".join(_sign(swept, columns, rows) for columns in across)
        used |= set(signs)
        lines.append(f"{_span(rows):>{margin}} |{signs}|")
    lines.append(f"{'':>{margin}}   (downwards: {y})")
    legend = [f"{SIGNS[m]} {WORDS[m]}" for m in SIGNS if SIGNS[m] in used and m != "invalid"]
    legend += [f"{MIXED} some of both"] if MIXED in used else []
    legend += ["blank has no meaning"] if " " in used else []
    return [*lines, "  ".join(legend)]


def _sign(swept: Swept, columns: Sequence[int], rows: Sequence[int]) -> str:
    marks = {swept.marks[x, y] for x in columns for y in rows} - {"invalid"}
    if not marks:
        return SIGNS["invalid"]
    return SIGNS[marks.pop()] if len(marks) == 1 else MIXED


def _bins(values: Sequence[int], most: int) -> list[Sequence[int]]:
    size = -(-len(values) // most)
    return [values[i : i + size] for i in range(0, len(values), size)]


def _span(values: Sequence[int]) -> str:
    return f"{values[0]}" if len(values) == 1 else f"{values[0]}-{values[-1]}"


def _scale(across: Sequence[Sequence[int]], margin: int) -> str:
    """Write every tenth column's first value above it."""
    line = [" "] * (len(across) + 8)
    for index in range(0, len(across), 10):
        for offset, sign in enumerate(str(across[index][0])):
            line[index + offset] = sign
    return f"{'':>{margin}}  {''.join(line).rstrip()}"
