"""What a map is drawn over: fields of a case that can be set to a number."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from strategies.case import Case, Image, Row, Text, has_images
from strategies.geometry import Geometry
from strategies.validity import is_generate

Grid = tuple[int, int]
"""Merged cells of an image: columns, rows."""


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis of a map.

    Attributes:
        name: on the command line.
        label: on a picture, with its unit.
        low: the smallest value that is tried.
        high: the largest.
        put: sets it in a case.
        of_image: whether it is of the first image.
        tokens: the feature that counts its tokens, "" where it counts something else.
    """

    name: str
    label: str
    low: int
    high: int
    put: Callable[[Case, int], Case]
    of_image: bool = False
    tokens: str = ""


def image_in(case: Case) -> Image:
    """Return the first image of a case's rows, the one that a map is drawn over."""
    return next(s for row in case.rows for s in row if isinstance(s, Image))


def with_an_image(case: Case) -> Case:
    """Return a case that has an image, a small one before its first row where it had none."""
    if has_images(case):
        return case
    first, *rest = case.rows
    return replace(case, rows=((Image(1, 1), *first), *rest))


def _with_image(case: Case, width: int | None = None, height: int | None = None) -> Case:
    old = image_in(case)
    new = Image(old.width if width is None else width, old.height if height is None else height)
    done = False
    rows: list[Row] = []
    for row in case.rows:
        segments = []
        for segment in row:
            if isinstance(segment, Image) and not done:
                segment, done = new, True
            segments.append(segment)
        rows.append(tuple(segments))
    return replace(case, rows=tuple(rows))


def _with_text(case: Case, tokens: int) -> Case:
    """Set the last run of text of the first row; where there is none, one is added."""
    first, *rest = case.rows
    at = max((i for i, s in enumerate(first) if isinstance(s, Text)), default=-1)
    kept = (*first[:at], *first[at + 1 :]) if at >= 0 else first
    place = at if at >= 0 else len(first)
    row = (*kept[:place], Text(tokens), *kept[place:]) if tokens or not kept else kept
    return replace(case, rows=(row, *rest))


def _with_chunk(case: Case, tokens: int) -> Case:
    return replace(case, chunks=(tokens, *case.chunks[1:]) if tokens else ())


AXES: Final[Mapping[str, Axis]] = {
    axis.name: axis
    for axis in (
        Axis("width", "width in pixels", 1, 200, lambda c, n: _with_image(c, width=n), True),
        Axis("height", "height in pixels", 1, 200, lambda c, n: _with_image(c, height=n), True),
        Axis("text", "text tokens", 0, 24, _with_text, tokens="text tokens"),
        Axis("chunk", "first chunk in tokens", 0, 24, _with_chunk, tokens="first chunk"),
        Axis(
            *("decode", "tokens one by one", 0, 8, lambda c, n: replace(c, decode=n)),
            tokens="tokens one by one",
        ),
        Axis("padding", "columns of padding", 0, 8, lambda c, n: replace(c, extra_padding=n)),
        Axis("offset", "first position", 0, 64, lambda c, n: replace(c, offset=n)),
        Axis("rows", "rows alike", 1, 6, lambda c, n: replace(c, rows=(c.rows[0],) * n)),
    )
}


SIZES: Final = (AXES["width"], AXES["height"])
"""The axes of an image's size."""


def axes_for(case: Case) -> tuple[Axis, Axis]:
    """Return the two axes that say most of a case that nobody has chosen axes for."""
    return SIZES if has_images(case) else axes_of_text(case)


def axes_of_text(case: Case) -> tuple[Axis, Axis]:
    """Return the two axes that say most of what is not of an image."""
    if case.extra_padding:
        return AXES["text"], AXES["padding"]
    second = "decode" if is_generate(case.entry) or case.decode else "chunk"
    return AXES["text"], AXES[second]


@dataclass(frozen=True, slots=True)
class Ticks:
    """Merged patches along an axis of image sizes.

    Attributes:
        word: what is counted: merged columns or rows.
        other: pixels of the other side, at which they are counted.
        counts: of each value of the axis; values without a grid are left out.
    """

    word: str
    other: int
    counts: Mapping[int, int]


def ticks(
    grids: Mapping[tuple[int, int], Grid | None],
    names: tuple[str, str],
    xs: Sequence[int],
    ys: Sequence[int],
) -> tuple[Ticks, Ticks] | None:
    """Count merged patches along both axes, at the far end of the other; None without grids.

    Args:
        grids: merged columns and rows at each point.
        names: of the axes, width and height in either order.
        xs: values of the first axis.
        ys: values of the second one.
    """
    if not grids:
        return None
    made = []
    for along, name in enumerate(names):
        part = 0 if name == "width" else 1
        other = max(ys if along == 0 else xs)
        counts = {}
        for value in xs if along == 0 else ys:
            grid = grids.get((value, other) if along == 0 else (other, value))
            if grid is not None:
                counts[value] = grid[part]
        made.append(Ticks("merged columns" if part == 0 else "merged rows", other, counts))
    return made[0], made[1]


def turns(axis: Axis, geometry: Geometry) -> Sequence[int]:
    """Return the values at which behaviour can change: sides of half a merged cell more."""
    if axis.name not in ("width", "height") or geometry.cell < 4:
        return ()
    return range(geometry.cell // 2, axis.high + geometry.cell * 100, geometry.cell // 2)


def features(case: Case, grid: Grid | None, frame: int) -> dict[str, int]:
    """Return the numbers that a rule may speak of, the likeliest to matter first.

    Args:
        case: a point of a map.
        grid: what its first image becomes, None where there is none or it has no grid.
        frame: tokens around an image, beside its cells.
    """
    found: dict[str, int] = {}
    before = _tokens_before_image(case)
    if grid is not None:
        columns, rows = grid
        found |= {
            "min(merged rows, merged columns)": min(grid),
            "merged rows": rows,
            "merged columns": columns,
            "max(merged rows, merged columns)": max(grid),
            "merged cells": columns * rows,
        }
        if case.chunks and before is not None:
            found["first chunk - tokens up to the image's end"] = (
                case.chunks[0] - before - columns * rows - frame
            )
    text = sum(s.tokens for row in case.rows for s in row if isinstance(s, Text))
    found["text tokens"] = text
    found |= {
        "first chunk": case.chunks[0] if case.chunks else 0,
        "tokens one by one": case.decode,
        "columns of padding": case.extra_padding,
        "first position": case.offset,
        "rows": len(case.rows),
    }
    if has_images(case):
        image = image_in(case)
        found |= {
            "shorter side in pixels": min(image.width, image.height),
            "longer side in pixels": max(image.width, image.height),
            "width in pixels": image.width,
            "height in pixels": image.height,
            "pixels": image.width * image.height,
        }
    return found


def _tokens_before_image(case: Case) -> int | None:
    count = 0
    for segment in case.rows[0]:
        if not isinstance(segment, Text):
            return count if isinstance(segment, Image) else None
        count += segment.tokens
    return None
