"""How a campaign has Hypothesis draw: each case by itself."""

from __future__ import annotations

from typing import Final

from hypothesis.internal.conjecture.providers import AVAILABLE_PROVIDERS, HypothesisProvider

INDEPENDENT: Final = "ropefuzz-independent"
"""Hypothesis's own way of drawing, without its mutation of what it drew before, or constants.

Left to itself it repeats itself: of 2,000 draws 900 were different cases, many of them alike, and
what comes up in one of 18 cases was first met after 73.
"""


class Independent(HypothesisProvider):
    """Draws each case by itself, and from nothing but its seed."""

    def _maybe_draw_constant(self, *_: object, **__: object) -> None:
        """Draw no number for being written in the sources that happen to be imported.

        One draw in twenty would be: a seed would give other cases from an installed ropefuzz than
        from a checkout, and reading all those sources takes half a second.
        """


AVAILABLE_PROVIDERS[INDEPENDENT] = f"{__name__}.{Independent.__name__}"
