"""A recording before or after the text of a row, as long as code changes its mind at."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from hypothesis import strategies as st

from strategies.case import Audio, Row, Segment
from strategies.geometry import Geometry, estimated_tokens
from strategies.weighted import around, weighted

_STEPS: Final = 3
"""Tokens of a recording on whose limits it often lies."""
_MORE: Final = 4
"""Most tokens of one that is added since the property needs one more."""
_BOOLEANS: Final = st.booleans()


def with_audio(draw: st.DrawFn, geometry: Geometry, row: Row, most: int, budget: int) -> Row:
    """Draw whether a row has a recording: no processor that is known takes two a prompt.

    Args:
        draw: Hypothesis's.
        geometry: the target's sizes; without audio nothing is drawn.
        row: one run of text, or nothing.
        most: recordings at most, 0 for none.
        budget: most tokens of the row, estimated; what does not fit is left out.
    """
    if not geometry.audio:
        return row
    wanted, text_first = draw(_BOOLEANS), draw(_BOOLEANS)
    audio = draw(recordings(geometry))
    made = (*row, audio) if text_first else (audio, *row)
    return made if wanted and most and estimated_tokens(geometry, made) <= budget else row


@lru_cache(maxsize=64)
def recordings(geometry: Geometry, tokens: int = 0) -> st.SearchStrategy[Audio]:
    """Return a strategy for recordings: around frames, tokens, windows and what is cut off.

    Args:
        geometry: the target's sizes.
        tokens: most placeholders; 0 for as many as a target makes of any.
    """
    hop, step, window = geometry.audio_hop, geometry.audio_step, geometry.audio_window
    all_heard = geometry.most_windows * window
    longest = tokens * step if tokens else all_heard + step
    return weighted(
        1,
        longest,
        around(n * hop for n in range(1, _STEPS * step // hop + 1)),
        around(n * step for n in range(1, _STEPS + 1)),
        around(n * window for n in range(1, geometry.most_windows + 1)),
    ).map(Audio)


@lru_cache(maxsize=64)
def more_recordings(geometry: Geometry, count: int) -> st.SearchStrategy[list[Segment]]:
    """Return a strategy for so many short recordings, of a property that needs them."""
    short: st.SearchStrategy[Segment] = recordings(geometry, _MORE) if count else st.nothing()
    return st.lists(short, min_size=count, max_size=count)
