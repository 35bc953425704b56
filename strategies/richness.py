"""How much of what can go wrong a case has in it at once."""

from __future__ import annotations

from dataclasses import fields
from typing import Final

from strategies.case import DEFAULT, Case

# What they draw is as rich whatever they are.
_CONTENT: Final = ("rows", "gain", "seed")
_AXES: Final = tuple(f.name for f in fields(Case) if f.name not in _CONTENT)


def richness(case: Case) -> int:
    """Count the axes of a case that are not left at their default, and the segments of its rows.

    Failures need a few axes at once, and a rich case has many such combinations in it.
    """
    axes = sum(getattr(case, name) != getattr(DEFAULT, name) for name in _AXES)
    return axes + sum(len(row) for row in case.rows)
