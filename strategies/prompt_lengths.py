"""Lengths of runs of text, around the numbers at which masks, caches and kernels change."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from hypothesis import strategies as st

from strategies.geometry import Geometry
from strategies.weighted import around, powers_of_two, weighted

DEFAULT_CAP: Final = 72
"""Longest run of text that is drawn unless the caller says otherwise, in tokens."""


@lru_cache(maxsize=2048)
def prompt_lengths(
    geometry: Geometry, *, minimum: int = 1, cap: int = DEFAULT_CAP
) -> st.SearchStrategy[int]:
    """Return a strategy for lengths of a run of text, in tokens.

    Favours the shortest ones, the powers of two with their neighbours, and the neighbourhood of
    the sliding window and of ``max_positions`` where these are within the cap, and what lies past
    them. Shrinks to ``minimum``.

    Args:
        geometry: the target's sizes and limits.
        minimum: shortest run, 0 or more tokens.
        cap: longest run, in tokens: a forward has to stay cheap.

    Raises:
        ValueError: ``minimum`` is above ``cap``.
    """
    limits = [n for n in (geometry.sliding_window, geometry.max_positions) if n > 0]
    return weighted(
        minimum,
        cap,
        (minimum, minimum + 1, minimum + 2),
        around(powers_of_two(cap + 1)),
        around(limits),
        tuple(range(min(limits, default=cap) + 2, cap + 1)),
    )
