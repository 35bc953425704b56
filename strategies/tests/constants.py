"""What Hypothesis draws, whichever modules other tests have loaded."""

from __future__ import annotations

from hypothesis.internal.conjecture import providers
from hypothesis.internal.constants_ast import Constants


def draw_no_constants_of_ours() -> None:
    """Keep Hypothesis from drawing the constants of our own modules, of which it takes a few.

    Installed as a package we have none that it looks at; in a checkout they would make a test that
    counts draws depend on the tests that ran before it in the same process.
    """
    none = Constants()
    providers._get_local_constants = lambda: none
    providers.CONSTANTS_CACHE.cache.clear()
