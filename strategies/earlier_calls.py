"""Calls made on the same model object before."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from hypothesis import strategies as st

from strategies.case import Call, Entry
from strategies.geometry import Geometry
from strategies.rows import Prompt, prompt_rows
from strategies.videos import with_videos

_MAX_HISTORY: Final = 2
_HISTORY_TEXT: Final = 8
_HISTORY: Final[tuple[Entry, ...]] = (
    *("forward-implicit",) * 3,
    "forward",
    "generate",
    "generate",
    "generate-embeds",
)
_HISTORY_ENTRIES: Final = st.sampled_from(_HISTORY)


@lru_cache(maxsize=64)
def earlier_calls(geometry: Geometry, fewest: int) -> st.SearchStrategy[list[Call]]:
    """Return a strategy for a list of calls, at least as many as given.

    Args:
        geometry: the target's sizes and limits.
        fewest: fewest calls.
    """
    return st.lists(_calls(geometry), min_size=fewest, max_size=_MAX_HISTORY)


def possible(geometry: Geometry, entry: Entry) -> Entry:
    """Return the entry, or plain generate where a model does not generate from embeddings."""
    lacks = entry == "generate-embeds" and not geometry.takes_embeddings
    return "generate" if lacks else entry


def _history_cap(geometry: Geometry) -> int:
    # Where rotation follows how far a prompt reaches, an earlier one has to reach there.
    return geometry.alike_up_to + _HISTORY_TEXT if geometry.alike_up_to else _HISTORY_TEXT


@st.composite
def _calls(draw: st.DrawFn, geometry: Geometry) -> Call:
    entry = possible(geometry, draw(_HISTORY_ENTRIES))
    prompt = Prompt(text_only=entry == "generate-embeds", images=1, cap=_history_cap(geometry))
    (row,) = with_videos(draw, geometry, (draw(prompt_rows(geometry, prompt)),), prompt.budget)
    return Call(row, entry)
