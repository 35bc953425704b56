"""Where a sequence is cut when it is fed to the cache in pieces."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from hypothesis import strategies as st

from strategies.weighted import powers_of_two, weighted

MAX_CHUNKS: Final = 4
"""Most chunks that are drawn; the rest of the sequence comes on top."""


@lru_cache(maxsize=2048)
def cache_positions(length: int, *, minimum: int = 0) -> st.SearchStrategy[tuple[int, ...]]:
    """Return a strategy for the lengths of the first prefill chunks, in columns.

    At most :data:`MAX_CHUNKS` chunks of 1 or more columns, whose sum leaves at least one column
    for the rest. Favours 1, 2, all but one, halves and powers of two. Shrinks to ``()``, which
    means no cut (or to ``(1,)`` with a ``minimum`` of 1).

    Args:
        length: columns to be fed, as estimated. Fewer than 2 cannot be cut: only ``()`` then,
            whatever the minimum.
        minimum: fewest chunks, 0 or 1.
    """
    if length < 2:
        return st.just(())
    most = length - 1
    chunk = weighted(1, most, (1, 2), (most, length // 2, -(-length // 2)), powers_of_two(most))
    chunks = st.lists(chunk, min_size=minimum, max_size=min(MAX_CHUNKS, most))
    return chunks.map(lambda lengths: _within(most, lengths))


def _within(most: int, lengths: list[int]) -> tuple[int, ...]:
    """Cut the lengths so that their sum is at most ``most``."""
    kept: list[int] = []
    for n in lengths:
        left = most - sum(kept)
        if left:
            kept.append(min(n, left))
    return tuple(kept)
