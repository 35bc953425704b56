"""How often something happens, with an interval."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

CONFIDENCE: Final = 0.95


def clopper_pearson(hits: int, trials: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Return the exact two-sided interval of a probability (Clopper and Pearson, 1934).

    Args:
        hits: how often it happened.
        trials: of how many.
        confidence: that the interval holds the probability.

    Raises:
        ValueError: no trials, or more hits than trials.
    """
    if not 0 <= hits <= trials or not trials:
        raise ValueError(f"expected 0 <= hits <= trials, got {hits} of {trials}")
    tail = (1 - confidence) / 2
    low = 0.0 if hits == 0 else _root(lambda p: 1 - _at_most(hits - 1, trials, p) - tail)
    high = 1.0 if hits == trials else _root(lambda p: tail - _at_most(hits, trials, p))
    return low, high


def _at_most(hits: int, trials: int, p: float) -> float:
    """Return the probability of that many hits or fewer."""
    if p <= 0 or p >= 1:
        return 1.0 if p <= 0 or hits >= trials else 0.0
    logs = (
        math.lgamma(trials + 1)
        - math.lgamma(k + 1)
        - math.lgamma(trials - k + 1)
        + k * math.log(p)
        + (trials - k) * math.log1p(-p)
        for k in range(hits + 1)
    )
    return min(1.0, math.fsum(map(math.exp, logs)))


def _root(rising: Callable[[float], float]) -> float:
    """Return where a rising function passes 0, by halving."""
    low, high = 0.0, 1.0
    for _ in range(100):
        middle = (low + high) / 2
        if rising(middle) < 0:
            low = middle
        else:
            high = middle
    return (low + high) / 2
