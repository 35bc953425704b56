"""How long a case may take, learned from those before it."""

from __future__ import annotations

from collections import deque
from typing import Final

BUILDS: Final = 30
"""A first case that takes as long as building the model this many times is not yet a hang."""


class Deadline:
    """A deadline that follows the cases: generous at first, then a multiple of the slowest lately.

    It holds no clock; the caller says how long things took.

    Attributes:
        floor: seconds it never goes below, so that a slow moment of the machine is no hang.
        ceiling: seconds it never goes above.
        factor: how many times the longest normal time is still not a hang.
        warm_up: cases seen before it follows them.
        start: seconds until then; a hang in the first case must not cost the ceiling.
    """

    __slots__ = ("_lately", "ceiling", "factor", "floor", "start", "warm_up")

    def __init__(
        self,
        floor: float = 3.0,
        ceiling: float = 60.0,
        factor: float = 20.0,
        warm_up: int = 5,
        start: float = 15.0,
        window: int = 200,
    ) -> None:
        """Set the bounds.

        Args:
            floor: see the attribute.
            ceiling: see the attribute.
            factor: see the attribute.
            warm_up: see the attribute.
            start: see the attribute.
            window: how many of the latest cases count.

        Raises:
            ValueError: the bounds are not 0 < floor <= ceiling, or the window is smaller
                than the warm-up.
        """
        if not 0 < floor <= ceiling:
            raise ValueError(f"expected 0 < floor <= ceiling, got {floor} and {ceiling}")
        if not 1 <= warm_up <= window:
            raise ValueError(f"expected 1 <= warm_up <= window, got {warm_up} and {window}")
        self.floor = floor
        self.ceiling = ceiling
        self.factor = factor
        self.warm_up = warm_up
        self.start = start
        self._lately: deque[float] = deque(maxlen=window)

    @property
    def learned(self) -> bool:
        """Whether any case was answered yet."""
        return bool(self._lately)

    def expect(self, build: float) -> None:
        """Take in how long building the model took, to know what to expect of a first case.

        A run of the model would say more, but might be what hangs.

        Args:
            build: seconds.
        """
        self.start = BUILDS * build

    def note(self, seconds: float) -> None:
        """Take in how long a case took that was answered."""
        self._lately.append(seconds)

    def seconds(self) -> float:
        """Return the deadline for the next case."""
        if len(self._lately) < self.warm_up:
            return min(max(self.start, self.floor), self.ceiling)
        return min(max(self.factor * max(self._lately), self.floor), self.ceiling)

    def brisk(self) -> float:
        """Return the deadline for a case where a hang is no news.

        Half of what else is given, so that a hang can be met often. What hangs for the first
        time is confirmed with patience before anybody is told.
        """
        if len(self._lately) < self.warm_up:
            return self.seconds()
        return min(max(self.factor * max(self._lately), self.floor) / 2, self.ceiling)

    def patient(self) -> float:
        """Return the deadline for a case on which a verdict will rest.

        Longer than usual, so that a hang is not the machine's slow moment, but not the ceiling: a
        hang that is confirmed several times must not cost minutes.
        """
        return min(max(1.5 * self.seconds(), 2.0 * self.floor), self.ceiling)
