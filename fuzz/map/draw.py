"""A map as text: fits a terminal, and needs no colours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from fuzz.map.axes import Ticks
from fuzz.map.sweep import Mark, Swept

SIGNS: Final[dict[Mark, str]] = {
    "fails": "#",
    "passes": ".",
    "refused": "r",
    "other": "?",
    "unjudged": "!",
    "invalid": " ",
}
MIXED: Final = "%"
WORDS: Final[dict[Mark, str]] = {
    "fails": "fails",
    "passes": "passes",
    "refused": "is refused",
    "other": "fails in another way",
    "unjudged": "not judged",
    "invalid": "has no meaning",
}
WIDEST: Final = 64
HIGHEST: Final = 32


def picture(
    swept: Swept,
    xs: Sequence[int],
    ys: Sequence[int],
    x: str,
    y: str,
    merged: tuple[Ticks, Ticks] | None = None,
) -> list[str]:
    """Draw a map: the first axis to the right, the second one downwards.

    Args:
        swept: what is known.
        xs: values of the first axis.
        ys: values of the second axis.
        x: the first axis's label.
        y: the second one's.
        merged: merged patches along both, written where they change.
    """
    across, down = _bins(xs, WIDEST), _bins(ys, HIGHEST)
    margin = max(len(_span(b)) for b in down)
    lines = [f"{'':>{margin}}   {x} ->", _scale(across, margin)]
    beside = [""] * len(down)
    if merged is not None:
        above = f"{merged[0].word}, where they change (other side {merged[0].other})"
        lines += [f"{'':>{margin}}   {above}", _counts_above(across, margin, merged[0])]
        beside = _counts(down, merged[1])
    drawn = signs(swept, xs, ys)
    for rows, row, count in zip(down, drawn, beside, strict=True):
        lines.append(f"{_span(rows):>{margin}} |{row}| {count}".rstrip())
    right = "" if merged is None else f"; right: {merged[1].word}, other side {merged[1].other}"
    lines.append(f"{'':>{margin}}   (downwards: {y}{right})")
    return [*lines, "  ".join(legend(set("".join(drawn))))]


def signs(swept: Swept, xs: Sequence[int], ys: Sequence[int]) -> list[str]:
    """Return a map's points, a few of them in a sign where there are many, line by line."""
    across, down = _bins(xs, WIDEST), _bins(ys, HIGHEST)
    return ["".join(_sign(swept, columns, rows) for columns in across) for rows in down]


def legend(used: set[str]) -> list[str]:
    """Say what the signs that are used mean."""
    said = [f"{SIGNS[m]} {WORDS[m]}" for m in SIGNS if SIGNS[m] in used and m != "invalid"]
    said += [f"{MIXED} some of both"] if MIXED in used else []
    return said + (["blank has no meaning"] if " " in used else [])


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


def _counts(bins: Sequence[Sequence[int]], ticks: Ticks) -> list[str]:
    """Write the count of each bin's last value, where it is not that of the bin before."""
    counts = [ticks.counts.get(b[-1]) for b in bins]
    return [
        str(now) if now is not None and now != before else ""
        for before, now in zip([None, *counts], counts, strict=False)
    ]


def _counts_above(across: Sequence[Sequence[int]], margin: int, ticks: Ticks) -> str:
    line = [" "] * (len(across) + 8)
    free = 0
    for index, count in enumerate(_counts(across, ticks)):
        # Where there is no room for a number it is left out, the picture's grid has them all.
        if count and index >= free:
            line[index : index + len(count)] = count
            free = index + len(count) + 1
    return f"{'':>{margin}}  {''.join(line).rstrip()}"


def _scale(across: Sequence[Sequence[int]], margin: int) -> str:
    """Write every tenth column's first value above it."""
    line = [" "] * (len(across) + 8)
    for index in range(0, len(across), 10):
        for offset, sign in enumerate(str(across[index][0])):
            line[index + offset] = sign
    return f"{'':>{margin}}  {''.join(line).rstrip()}"
