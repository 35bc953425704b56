"""Image sizes, clustered where an image processor and a vision tower change their mind."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from hypothesis import strategies as st

from strategies.case import Image
from strategies.geometry import Geometry
from strategies.weighted import CEILINGS, STEPS, around, ceilings, weighted

MAX_SIDE: Final = 4_000
"""Longest side that is drawn, in pixels."""
MAX_AREA: Final = 1_000_000
"""Largest image that is drawn, in pixels: building it as a PIL image must stay cheap."""

# Multiples that count: a group of favourites holds about 30 numbers.
_CELLS: Final = 10
_PLACES: Final = st.integers(0, CEILINGS - 1)
_FIXED_HEIGHTS: Final = 156


@lru_cache(maxsize=64)
def image_sizes(geometry: Geometry) -> st.SearchStrategy[Image]:
    """Return a strategy for sizes that the processor accepts, in pixels.

    Half of the draws or more lie on or one pixel beside a multiple of the patch or of the merged
    cell, on the smallest and the largest pixel area, on the aspect limit, or give grids of one
    row or one column. Shrinks to 1x1: first to the smallest width, then to the smallest height.

    Args:
        geometry: the target's sizes and limits.
    """
    least = geometry.min_side
    if least <= 1:
        return _accepted(geometry)
    return _accepted(geometry).map(lambda i: Image(max(i.width, least), max(i.height, least)))


@lru_cache(maxsize=64)
def invalid_image_sizes(geometry: Geometry) -> st.SearchStrategy[Image]:
    """Return a strategy for sizes that a processor has to refuse, in pixels.

    They have a side of 0 pixels, or an aspect ratio just or far past the limit (none of these if
    an image within :data:`MAX_SIDE` cannot pass it, or there is none). Shrinks to 0x0.

    Args:
        geometry: the target's sizes and limits.
    """
    side = weighted(0, MAX_SIDE, (0, 1), around((geometry.patch, geometry.cell)))
    empty = side.map(lambda n: (0, n))
    kinds = [empty]
    thickest = (MAX_SIDE - 1) // geometry.max_aspect
    if thickest >= 1 and geometry.aspect_refused:
        kinds.append(weighted(1, thickest, (1,)).flatmap(lambda n: _too_long(geometry, n)))
    return st.tuples(st.one_of(kinds), st.booleans()).map(
        lambda drawn: Image(*(reversed(drawn[0]) if drawn[1] else drawn[0]))
    )


@st.composite
def _accepted(draw: st.DrawFn, geometry: Geometry) -> Image:
    width = draw(_widths(geometry))
    # The list that the height is drawn from does not depend on the width, so that shrinking the
    # width leaves the height alone. Heights that do depend on it are at its end.
    place = draw(_PLACES)
    most = 1 + draw(STEPS)
    fixed = _fixed_heights(geometry)
    if place < len(fixed):
        height = fixed[place]
    else:
        related = _related_heights(geometry, width)
        height = related[(place - len(fixed)) % len(related)]
    low, high = _height_range(geometry, width)
    return Image(width, max(low, min(high, height, most)))


@lru_cache(maxsize=8192)
def _too_long(geometry: Geometry, short: int) -> st.SearchStrategy[tuple[int, int]]:
    """Draw (short side, a long side that makes the image too elongated)."""
    limit = geometry.max_aspect * short
    return weighted(limit + 1, MAX_SIDE, (limit + 1,), (2 * limit, MAX_SIDE)).map(
        lambda long: (short, long)
    )


@lru_cache(maxsize=64)
def _widths(geometry: Geometry) -> st.SearchStrategy[int]:
    high = MAX_SIDE
    while _height_range(geometry, high)[0] > _height_range(geometry, high)[1]:
        high -= 1
    longest = (geometry.max_aspect, 2 * geometry.max_aspect)
    return weighted(1, high, (1, 2, 3), longest, *_grid_sides(geometry))


@lru_cache(maxsize=64)
def _fixed_heights(geometry: Geometry) -> tuple[int, ...]:
    return ceilings(1, MAX_SIDE, _grid_sides(geometry), _FIXED_HEIGHTS)


def _related_heights(geometry: Geometry, width: int) -> list[int]:
    """Return heights for the limits on the area, the limits on the aspect ratio, and a square."""
    few, many = geometry.min_pixels // width, geometry.max_pixels // width
    low, high = -(-width // geometry.max_aspect), width * geometry.max_aspect
    return [few, few + 1, many, many + 1, low, high - 1, high, width - 1, width, width + 1]


def _height_range(geometry: Geometry, width: int) -> tuple[int, int]:
    """Return the smallest and the largest height that suit a width."""
    low = -(-width // geometry.max_aspect)
    return low, min(MAX_SIDE, MAX_AREA // width, width * geometry.max_aspect)


@lru_cache(maxsize=64)
def _grid_sides(geometry: Geometry) -> tuple[tuple[int, ...], ...]:
    """Return the groups of sides at which the grid of patches or cells changes."""
    patch, cell = geometry.patch, geometry.cell
    cells = [n * cell for n in range(1, _CELLS + 1)]
    # Between two cells lies the size from which on a side is rounded to the larger one.
    halves = [n - cell // 2 for n in cells]
    groups = [around(cells), around(halves)]
    if geometry.merge > 2:
        groups.append(around(n * patch for n in range(1, _CELLS + 1)))
    if geometry.window:
        groups.append(around(n * geometry.window for n in (1, 2, 3)))
    if geometry.tile:
        groups.append(around(n * geometry.tile for n in range(1, 6)))
    # Sides of a single row or column.
    groups.append((cell // 2 + 1, cell - 1, cell, cell + 1, cell + cell // 2 - 1))
    return tuple(groups)
