"""The simplest sentence that says which points fail."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

_Mask: TypeAlias = npt.NDArray[np.bool_]

_EVERYWHERE: Final = "everywhere in the map"
_NOWHERE: Final = "nowhere in the map"
_PAIRED: Final = 80
"""Conditions that are tried in pairs."""
_SINGLED: Final = 64
"""Values of a feature up to which each is tried by itself."""
TOLERATED: Final = 0.05
"""The part of the points up to which a rule with exceptions is worth saying."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule over some points.

    Attributes:
        text: when a point fails, in the names of features; "" where no simple rule was found.
        exceptions: points that it says wrong.
        points: points that it was held against.
    """

    text: str
    exceptions: int
    points: int

    @property
    def sentence(self) -> str:
        """The rule as a sentence."""
        if not self.text:
            return "no simple rule fits"
        if self.text in (_EVERYWHERE, _NOWHERE):
            return f"fails {self.text}"
        if not self.exceptions:
            return f"fails exactly where {self.text}"
        many = "" if self.exceptions == 1 else "s"
        return (
            f"fails where {self.text}, with {self.exceptions} exception{many} "
            f"of {self.points} points"
        )


@dataclass(frozen=True, slots=True)
class _Condition:
    text: str
    holds: _Mask


def find_rule(
    points: Sequence[Mapping[str, int]],
    fails: Sequence[bool],
    compared: Sequence[tuple[str, str]] = (),
) -> Rule:
    """Find the simplest rule: one condition, two of them, or one with few exceptions.

    A condition compares one feature with a number, or with another feature and a number more.
    Among rules that fit alike the first feature wins, so features come in the order in which they
    matter.

    Args:
        points: the features of each point, all with the same names.
        fails: whether each point fails.
        compared: pairs of features in one unit, which may be compared with each other.
    """
    wrong = np.asarray(fails, dtype=bool)
    count = len(wrong)
    if not wrong.any():
        return Rule(_NOWHERE, 0, count)
    if wrong.all():
        return Rule(_EVERYWHERE, 0, count)
    conditions = _conditions(points, wrong, compared)
    missed = [int((c.holds != wrong).sum()) for c in conditions]
    best = min(range(len(conditions)), key=lambda i: missed[i], default=None)
    if best is None:
        return Rule("", 0, count)
    if missed[best] == 0:
        return Rule(conditions[best].text, 0, count)
    pair = _pair(conditions, wrong)
    if pair:
        return Rule(pair, 0, count)
    if missed[best] <= TOLERATED * count and missed[best] < min(wrong.sum(), (~wrong).sum()):
        return Rule(conditions[best].text, missed[best], count)
    return Rule("", 0, count)


def _conditions(
    points: Sequence[Mapping[str, int]], wrong: _Mask, compared: Sequence[tuple[str, str]]
) -> list[_Condition]:
    """Return the conditions that part failing from passing points somewhere, simplest first."""
    found: list[_Condition] = []
    there = [name for name in points[0] if all(name in point for point in points)]
    values = {name: np.array([point[name] for point in points]) for name in there}
    for name in there:
        found += _of(name, values[name], "", wrong)
    for one, other in compared:
        # What stands still is a number, and those have been tried.
        if all(name in values and np.ptp(values[name]) for name in (one, other)):
            found += _of(one, values[one] - values[other], other, wrong)
    return found


def _of(name: str, values: npt.NDArray[np.int_], base: str, wrong: _Mask) -> Iterator[_Condition]:
    """Yield the conditions on one feature, or on what it has more than the feature ``base``."""

    def said(sign: str, number: int) -> str:
        if not base:
            return f"{name} {sign} {number}"
        more = f" {'+' if number > 0 else '-'} {abs(number)}" if number else ""
        return f"{name} {sign} {base}{more}"

    seen = [int(value) for value in np.unique(values)]
    none = seen[0] == 0 and not base
    # Between values that do the same there is nothing to part.
    for low, high in pairwise(seen):
        below, above = wrong[values == low], wrong[values == high]
        if (below.all() and above.all()) or not (below.any() or above.any()):
            continue
        # A count that is at most 0 is 0.
        yield _Condition(said("=" if none and low == 0 else "<=", low), values <= low)
        yield _Condition(said(">=", high), values >= high)
    if 2 < len(seen) <= _SINGLED:
        for value in seen:
            yield _Condition(said("=", value), values == value)


def _pair(conditions: Sequence[_Condition], wrong: _Mask) -> str:
    """Return two conditions that together fit every point, "" where none do."""
    wide = [c for c in conditions if not (wrong & ~c.holds).any()]
    narrow = [c for c in conditions if not (c.holds & ~wrong).any() and c.holds.any()]
    wide.sort(key=lambda c: int(c.holds.sum()))
    narrow.sort(key=lambda c: -int(c.holds.sum()))
    for some, word, joined in (
        (wide, "and", np.logical_and),
        (narrow, "or", np.logical_or),
    ):
        for one, other in combinations(some[:_PAIRED], 2):
            if np.array_equal(joined(one.holds, other.holds), wrong):
                return f"{one.text} {word} {other.text}"
    return ""
