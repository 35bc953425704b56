"""How a sequence is fed to the cache, and which positions a caller gives it."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from hypothesis import strategies as st

from strategies.cache_positions import cache_positions
from strategies.case import CacheKind
from strategies.geometry import Geometry
from strategies.weighted import around, powers_of_two, weighted

MAX_DECODE: Final = 3
"""Most tokens that are fed one by one at the end."""
_MAX_CROP: Final = 3
_DECODES: Final = weighted(0, MAX_DECODE, (0,))
# One token shows most, two that what the first left is read; each costs a forward of every leg.
_FEW: Final = st.sampled_from((0, 1, 2, 1, 0, 1, 2, MAX_DECODE))
# What has to be fed in pieces is fed most simply when its last token comes alone.
_PIECES: Final = st.sampled_from((1, 0, 0, 0, *range(2, MAX_DECODE + 1)))

# The default value as a group of favourites: three quarters of the draws, or nearly, leave the
# axis alone. With all axes busy in every case, one that fails early would hide the others.
_MOSTLY_ZERO: Final = ((0,), (0,), (0,))
_CROPS: Final = weighted(0, _MAX_CROP, (0,), (0,))
# Each kind as often as its share of the draws, the simplest first. What a model makes for itself
# is another cache than a dynamic one only where attention slides.
_COMMON: Final[tuple[CacheKind, ...]] = ("dynamic",) * 7 + ("static",) * 6
_CACHES: Final = st.sampled_from((*_COMMON, "own", "quantized", "quantized"))
_SLIDING_CACHES: Final = st.sampled_from((*_COMMON, *("own",) * 6))


@lru_cache(maxsize=2048)
@st.composite
def feedings(
    draw: st.DrawFn, columns: int, in_pieces: bool, busy: bool
) -> tuple[int, tuple[int, ...]]:
    """Draw (decode, chunks): how the columns reach the cache.

    At least one column remains for the rest of the prefill.

    Args:
        draw: Hypothesis's.
        columns: how many there are.
        in_pieces: whether they have to be two pieces or more.
        busy: whether tokens are mostly fed one by one.
    """
    decodes = _PIECES if in_pieces else _FEW if busy else _DECODES
    decode = min(draw(decodes), columns - 1)
    minimum = int(in_pieces and not decode)
    chunks = draw(cache_positions(max(2, columns - decode), minimum=minimum))
    return decode, chunks if columns - decode > 1 else ()


@lru_cache(maxsize=64)
@st.composite
def caches(draw: st.DrawFn, geometry: Geometry) -> tuple[CacheKind, int]:
    """Draw (kind, crop): the cache that is fed in pieces, and what is taken back before the last.

    A rare kind gives way to the common one where the target has none of it.
    """
    kind: CacheKind = draw(_SLIDING_CACHES if geometry.sliding_window else _CACHES)
    crop = draw(_CROPS)
    if kind in geometry.lacks:
        kind = "dynamic"
    return kind, crop if kind in ("dynamic", "own") and "crop" not in geometry.lacks else 0


@lru_cache(maxsize=2048)
@st.composite
def shifts(draw: st.DrawFn, geometry: Geometry, columns: int) -> tuple[int, int, int]:
    """Draw (offset, gap, gap_at) for explicit positions."""
    far = _distances(geometry, columns)
    offset = draw(far)
    # A gap at the first column would be an offset under another name.
    last = max(1, columns - 1)
    gap, gap_at = draw(far), draw(weighted(1, last, (1, columns // 2, last)))
    return (offset, gap, gap_at) if gap and columns > 1 else (offset, 0, 0)


@lru_cache(maxsize=2048)
def _distances(geometry: Geometry, columns: int) -> st.SearchStrategy[int]:
    limit = geometry.max_positions
    high = max(100_000, 2 * limit)
    return weighted(
        0,
        high,
        *_MOSTLY_ZERO,
        (1, *powers_of_two(high)),
        (100_000,),
        (max(0, limit - columns), *around((limit,)), 2 * limit),
    )
