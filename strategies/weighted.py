"""Whole numbers that come up more often where code changes its mind, and still shrink well."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from hypothesis import strategies as st

# Hypothesis (6.170) draws evenly from up to 256 values and prefers the first ones of more.
CEILINGS: Final = 256
# The widest range over which it tries to draw something else than very large numbers.
STEPS: Final = st.integers(0, 2**24)
# Up to here a range is listed in full, and the ceiling alone is the number.
_LISTED: Final = 128


@lru_cache(maxsize=8192)
def weighted(low: int, high: int, *groups: tuple[int, ...]) -> st.SearchStrategy[int]:
    """Return a strategy for whole numbers that favours the given ones.

    Every group gets the same share of the draws, spread evenly over its members, and one more
    share goes to the whole range, where small numbers are likelier than large ones.

    The obvious way, ``one_of`` a favourite and a plain number, shrinks badly: the shrinker does
    not find its way from a favourite to the smaller plain number beside it. Here a draw is a
    ceiling (mostly a favourite) and a count of steps up from ``low`` that ends at the ceiling,
    and mostly gets there. A lower ceiling or fewer steps never give a larger number, and any
    number below a ceiling can be had by taking fewer steps.

    All lists of ceilings are equally long, for Hypothesis tries copying what it drew in one
    place to another: an index that the other list lacked would turn into its smallest number.

    Args:
        low: the smallest number, to which draws shrink.
        high: the largest number.
        groups: favourites; those outside of ``low`` to ``high`` are left out, and a group with
            none left has no share. Of a group with more members than its share of 256 has
            places, an evenly spaced selection counts.

    Raises:
        ValueError: ``low`` is above ``high``.
    """
    if low > high:
        raise ValueError(f"expected low <= high, got {low} and {high}")
    listed = st.sampled_from(ceilings(low, high, groups, CEILINGS))
    return listed if high - low < _LISTED else _climb(low, listed)


@st.composite
def _climb(draw: st.DrawFn, low: int, listed: st.SearchStrategy[int]) -> int:
    return min(draw(listed), low + draw(STEPS))


def ceilings(low: int, high: int, groups: Iterable[tuple[int, ...]], count: int) -> tuple[int, ...]:
    """Return ``count`` ceilings in ascending order, each as often as its share of the draws."""
    inside = [sorted({n for n in group if low <= n <= high}) for group in groups]
    favourites = [group for group in inside if group]
    places = count // (len(favourites) + 1)
    plain = list(range(low, high + 1)) if high - low < _LISTED else _spread(low, high, places)
    places = (count - max(len(plain), places)) // max(1, len(favourites))
    favoured = [n for group in favourites for n in _resized(group, places)]
    return tuple(sorted(favoured + _resized(plain, count - len(favoured))))


def _resized(numbers: list[int], length: int) -> list[int]:
    """Repeat or leave out numbers evenly, so that there are ``length`` of them."""
    return [numbers[(2 * i + 1) * len(numbers) // (2 * length)] for i in range(length)]


def _spread(low: int, high: int, count: int) -> list[int]:
    """Return numbers from ``low`` to ``high``, each about the same factor above the last."""
    span = high - low + 1
    return [low - 1 + round(span ** (i / (count - 1))) for i in range(count)]


def around(numbers: Iterable[int]) -> tuple[int, ...]:
    """Return the numbers with the one below and the one above each, sorted, without repeats."""
    return tuple(sorted({n + d for n in numbers for d in (-1, 0, 1)}))


def powers_of_two(high: int) -> tuple[int, ...]:
    """Return 1, 2, 4, ... up to ``high``."""
    return tuple(2**k for k in range(max(0, high).bit_length()))
