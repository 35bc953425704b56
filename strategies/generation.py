"""Cases of ``generate``: every way it has of going about it."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from hypothesis import strategies as st

from strategies.case import GAINS, GUESSING, HOWS, Case, Image, Row, media_of
from strategies.geometry import Geometry, estimated_tokens
from strategies.image_sizes import image_sizes
from strategies.rows import IMAGE_BUDGET, fitted
from strategies.validity import may_be_padded
from strategies.weighted import weighted

_MAX_NEW: Final = 4
_MAX_TURN: Final = 6
_MAX_PADDING: Final = 3
_MAX_SEED: Final = 3
_HOWS: Final = st.sampled_from(HOWS)
_NEW: Final = st.integers(1, _MAX_NEW)
_TURNS: Final = st.integers(1, _MAX_TURN)
_PADDINGS: Final = weighted(0, _MAX_PADDING, (0,), (1,))
_GAINS: Final = st.sampled_from(GAINS)
_SEEDS: Final = st.integers(0, _MAX_SEED)
_BOOLEANS: Final = st.booleans()


@st.composite
def generations(
    draw: st.DrawFn, prompts: st.SearchStrategy[tuple[Row, ...]], geometry: Geometry
) -> Case:
    """Draw a case for ``generate``: how it goes about it, or a second turn, or from embeddings.

    Args:
        draw: Hypothesis's.
        prompts: draws the rows.
        geometry: the target's sizes; its models may take no embeddings.
    """
    how = draw(_HOWS)
    new = draw(_NEW)
    rows = draw(prompts)
    padding = draw(_PADDINGS)
    turn = draw(_TURNS) if draw(_BOOLEANS) else 0
    shown = draw(_turn_images(geometry))
    mask = not draw(_BOOLEANS)
    size = draw(st.integers(1, max(1, max(estimated_tokens(geometry, row) for row in rows) + 1)))
    seed, gain = draw(_SEEDS), draw(_GAINS)
    if how == "assisted" and "crop" in geometry.lacks:
        how = "lookup"
    if how != "greedy":
        turn = 0
    turn_image = shown if turn else None
    if how in GUESSING or turn:
        rows, padding = rows[:1], 0
    text = not any(media_of(row) for row in rows)
    embeds = how == "greedy" and not turn and text and geometry.takes_embeddings
    return Case(
        rows=rows,
        entry="generate-embeds" if embeds else "generate",
        extra_padding=padding,
        attention_mask=mask or may_be_padded(rows, padding),
        how=how,
        turn=turn,
        turn_image=turn_image,
        chunks=(size,) if how == "chunked" else (),
        decode=new,
        gain=gain,
        seed=seed,
    )


@lru_cache(maxsize=64)
def _turn_images(geometry: Geometry) -> st.SearchStrategy[Image | None]:
    """Draw the image of a second turn, or none."""
    if not geometry.images or geometry.alike_up_to or "turn_image" in geometry.lacks:
        return st.none()
    images = image_sizes(geometry).map(lambda image: fitted(geometry, image, IMAGE_BUDGET))
    return st.none() | images
