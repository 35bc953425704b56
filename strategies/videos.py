"""Videos in the place of images: few, small, with frames around what fills a temporal patch."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from hypothesis import strategies as st

from strategies.case import TICK, Image, Row, Segment, Video
from strategies.geometry import (
    Geometry,
    estimated_cells,
    estimated_tokens,
    halved,
    temporal_patches,
)
from strategies.weighted import around, weighted

MAX_FRAMES: Final = 8
MAX_CELLS: Final = 20
"""Most placeholders of a video, estimated, where its smallest form has no more."""

# About one in six of the cases with pixels; the first value is what draws shrink to.
_SOMETIMES: Final = st.sampled_from((False,) * 5 + (True,))
_ALL: Final = -1
_WHICH: Final = st.sampled_from((_ALL, 0, 1))
# Qwen2-VL's own two frames a second come first. The others are fractions that make temporal
# positions stand still or skip, and times so long that positions outgrow tokens.
_SECONDS: Final = st.sampled_from((1.0, 1.0, 1.0, 0.5, 0.25, 1.5, 2.0, TICK, 50.0, 200.0))


def with_videos(
    draw: st.DrawFn, geometry: Geometry, rows: tuple[Row, ...], budget: int
) -> tuple[Row, ...]:
    """Draw whether images of a batch are videos instead: all, or the first or second of each row.

    Rows without images, and rows that would become too long, stay as they are.

    Args:
        draw: Hypothesis's.
        geometry: the target's sizes; without videos nothing is drawn.
        rows: the rows of one call.
        budget: most tokens of a row, estimated.
    """
    if not geometry.videos:
        return rows
    wanted = draw(_SOMETIMES)
    frames, seconds, which = draw(frame_counts(geometry)), draw(_SECONDS), draw(_WHICH)
    if not wanted:
        return rows
    if not geometry.videos_beside_images:
        which = _ALL
    made = tuple(_filmed(geometry, row, frames, seconds, which) for row in rows)
    fits = all(estimated_tokens(geometry, row) <= budget for row in made)
    return made if fits else rows


def as_stills(row: Row) -> Row:
    """Return a row with an image of the same size in the place of each video."""
    return tuple(Image(s.width, s.height) if isinstance(s, Video) else s for s in row)


@lru_cache(maxsize=64)
def frame_counts(geometry: Geometry) -> st.SearchStrategy[int]:
    """Return a strategy for the frames of a video: around one and two temporal patches, and few."""
    deep = geometry.temporal_patch
    return weighted(1, MAX_FRAMES, (1, 2), around((deep, 2 * deep)), (3 * deep, MAX_FRAMES))


def _filmed(geometry: Geometry, row: Row, frames: int, seconds: float, which: int) -> Row:
    made: list[Segment] = []
    number = 0
    for segment in row:
        if isinstance(segment, Image):
            if which in (_ALL, number):
                segment = _fitted(geometry, Video(frames, segment.width, segment.height, seconds))
            number += 1
        made.append(segment)
    return tuple(made)


def _fitted(geometry: Geometry, video: Video) -> Video:
    """Halve a video's sides, then leave out frames, until it is small or cannot be smaller."""
    while estimated_cells(geometry, video) > MAX_CELLS:
        width, height = halved(geometry, video.width, video.height)
        if (width, height) != (video.width, video.height):
            video = Video(video.frames, width, height, video.seconds)
        elif temporal_patches(geometry, video) > 1:
            video = Video(video.frames - 1, width, height, video.seconds)
        else:
            break
    return video
