"""The simplest sentence that says which points fail."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
        return f"fails where {self.text}, with {self.exceptions} exceptions of {self.points} points"


@dataclass(frozen=True, slots=True)
class _Condition:
    text: str
    holds: _Mask


def find_rule(points: Sequence[Mapping[str, int]], fails: Sequence[bool]) -> Rule:
    """Find the simplest rule: one condition, two of them, or one with few exceptions.

    A condition compares one feature with a number. Among rules that fit alike the first feature
    wins, so features come in the order in which they matter.

    Args:
        points: the features of each point, all with the same names.
        fails: whether each point fails.
    """
    wrong = np.asarray(fails, dtype=bool)
    count = len(wrong)
    if not wrong.any():
        return Rule(_NOWHERE, 0, count)
    if wrong.all():
        return Rule(_EVERYWHERE, 0, count)
    conditions = _conditions(points, wrong)
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


def _conditions(points: Sequence[Mapping[str, int]], wrong: _Mask) -> list[_Condition]:
    """Return the conditions that part failing from passing points somewhere, simplest first."""
    found: list[_Condition] = []
    for name in points[0]:
        if any(name not in point for point in points):
            continue
        values = np.array([point[name] for point in points])
        # Between values that do the same there is nothing to part.
        seen = np.unique(values)
        for low, high in pairwise(seen):
            below, above = wrong[values == low], wrong[values == high]
            if (below.all() and above.all()) or not (below.any() or above.any()):
                continue
            found.append(_Condition(f"{name} <= {low}", values <= low))
            found.append(_Condition(f"{name} >= {high}", values >= high))
        if len(seen) <= 64:
            found += [_Condition(f"{name} = {v}", values == v) for v in seen if len(seen) > 2]
    return found


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
