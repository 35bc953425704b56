"""A measurement in one word: the middle, the least and the most."""

from __future__ import annotations

import statistics
from collections.abc import Sequence


def spread(values: Sequence[float], form: str) -> str:
    """Return ``median [least, most]``.

    Args:
        values: what was measured.
        form: how each number is written, e.g. ``"{:.1f}"``.
    """
    if not values:
        return "nothing measured"
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{form.format(middle)} [{form.format(low)}, {form.format(high)}]"
