"""Geometry: what a target's real config and image processor say about sizes and limits."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from strategies.case import Audio, Image, Row, Text, Video


@dataclass(frozen=True, slots=True)
class Geometry:
    """The sizes at which a target's code can change its mind.

    Asked of the real config and the real processor once (by a worker), never hard-coded.

    Attributes:
        images: whether the target takes images at all; the image fields mean nothing if not.
        patch: pixels along one side of a patch.
        merge: patches along one side of a merged cell (one placeholder token each).
        temporal_patch: frames that one patch spans.
        window: pixels along one side of a vision attention window, 0 if there is none.
        min_pixels: fewest pixels the processor resizes to.
        max_pixels: most pixels the processor resizes to.
        max_aspect: longest side over shortest side up to which the processor accepts.
        max_positions: ``max_position_embeddings`` of the text model, in tokens.
        sliding_window: tokens that sliding attention sees, 0 if there is none.
        min_side: pixels that each side of an image needs at least (up to 4.49 the processor asked
            for one merged cell, later for nothing).
        frame_tokens: placeholder-free tokens an image adds around its cells (start, end).
        tile_tokens: placeholder tokens of an image, or of each of its tiles, whatever its size; 0
            where their number follows the size.
        tile: pixels along one side of a tile, 0 where an image is not cut into tiles.
        most_tiles: most tiles of an image, a small whole beside them included.
        aspect_refused: whether the processor refuses an image beyond ``max_aspect``; else
            that is only how far images are drawn.
        takes_embeddings: whether ``generate`` takes ``inputs_embeds``.
        one_axis: whether positions number a row's tokens, images or not.
        alike_up_to: tokens up to which a prompt's rotation does not depend on how far it reaches,
            0 where it never does.
        lacks: kinds of cache, ``crop`` and ``turn_image``, that the target has not.
        videos: whether the target takes videos; the three fields below mean nothing if not.
        video_tokens: tokens around all placeholders of a video (start, end).
        step_tokens: tokens around the placeholders of each of its temporal patches (a timestamp,
            start, end).
        videos_beside_images: whether one call takes images as well as videos.
        audio: whether the target takes audio; the five fields below mean nothing if not.
        audio_hop: samples from one frame of features to the next.
        audio_step: samples that one placeholder token stands for.
        audio_window: samples that the audio tower sees at a time.
        most_windows: windows of a recording; what is longer is cut off.
        audio_tokens: tokens around the placeholders of a recording (start, end).
    """

    images: bool
    patch: int
    merge: int
    temporal_patch: int
    window: int
    min_pixels: int
    max_pixels: int
    max_aspect: int
    max_positions: int
    sliding_window: int
    frame_tokens: int
    min_side: int = 1
    tile_tokens: int = 0
    tile: int = 0
    most_tiles: int = 1
    aspect_refused: bool = True
    takes_embeddings: bool = True
    one_axis: bool = False
    alike_up_to: int = 0
    lacks: tuple[str, ...] = ()
    videos: bool = False
    video_tokens: int = 0
    step_tokens: int = 0
    videos_beside_images: bool = True
    audio: bool = False
    audio_hop: int = 1
    audio_step: int = 1
    audio_window: int = 1
    most_windows: int = 1
    audio_tokens: int = 0

    @property
    def cell(self) -> int:
        """Pixels along one side of a merged cell."""
        return self.patch * self.merge


def without_images(
    max_positions: int,
    sliding_window: int = 0,
    frame_tokens: int = 0,
    alike_up_to: int = 0,
    lacks: tuple[str, ...] = (),
) -> Geometry:
    """Return the geometry of a target that takes text alone; the sizes of images are all 1."""
    return Geometry(
        images=False,
        patch=1,
        merge=1,
        temporal_patch=1,
        window=0,
        min_pixels=1,
        max_pixels=1,
        max_aspect=1,
        max_positions=max_positions,
        sliding_window=sliding_window,
        frame_tokens=frame_tokens,
        one_axis=True,
        alike_up_to=alike_up_to,
        lacks=lacks,
    )


def geometry_to_plain(geometry: Geometry) -> dict[str, Any]:
    """Return the geometry as JSON-ready data."""
    return asdict(geometry)


def geometry_from_plain(data: dict[str, Any]) -> Geometry:
    """Build a geometry from what :func:`geometry_to_plain` gave."""
    # JSON knows no tuples, and a geometry has to be hashable.
    return Geometry(**{**data, "lacks": tuple(data.get("lacks", ()))})


def estimated_grid(geometry: Geometry, image: Image | Video) -> tuple[int, int]:
    """Estimate the grid of merged cells that an image, or a frame, becomes: across, down.

    An estimate is enough here: it only aims chunk boundaries and positions at the places
    that matter. The worker asks the real processor.
    """
    if min(image.width, image.height) == 0:
        return 0, 0
    cell = geometry.cell
    across = round(image.width / cell)
    down = round(image.height / cell)
    # Resizing keeps the aspect ratio but for rounding: down if too large, up if too small.
    area = image.width * image.height
    if across * down * cell**2 > geometry.max_pixels:
        factor = math.sqrt(area / geometry.max_pixels)
        across = math.floor(image.width / factor / cell)
        down = math.floor(image.height / factor / cell)
    elif across * down * cell**2 < geometry.min_pixels:
        factor = math.sqrt(geometry.min_pixels / area)
        across = math.ceil(image.width * factor / cell)
        down = math.ceil(image.height * factor / cell)
    return max(1, across), max(1, down)


def estimated_cells(geometry: Geometry, image: Image | Video) -> int:
    """Estimate how many merged cells an image or a video becomes: as many placeholder tokens."""
    if geometry.tile_tokens:
        return geometry.tile_tokens * _estimated_tiles(geometry, image)
    across, down = estimated_grid(geometry, image)
    return across * down * (1 if isinstance(image, Image) else temporal_patches(geometry, image))


def temporal_patches(geometry: Geometry, video: Video) -> int:
    """Return how many temporal patches the frames of a video fill; the last may repeat one."""
    return -(-video.frames // geometry.temporal_patch)


def _estimated_tiles(geometry: Geometry, image: Image | Video) -> int:
    if not geometry.tile:
        return 1
    tiles = math.ceil(image.width / geometry.tile) * math.ceil(image.height / geometry.tile)
    return max(1, min(geometry.most_tiles, tiles + 1))


def _estimated_audio(geometry: Geometry, audio: Audio) -> int:
    heard = min(audio.samples, geometry.most_windows * geometry.audio_window)
    return -(-heard // geometry.audio_step)


def accepts_size(geometry: Geometry, image: Image | Video) -> bool:
    """Tell whether the processor has to accept an image of this size (any area is fine)."""
    short, long = sorted((image.width, image.height))
    return short >= max(1, geometry.min_side) and long <= geometry.max_aspect * short


def halved(geometry: Geometry, width: int, height: int) -> tuple[int, int]:
    """Return a size half as wide and as high, or as small as the processor accepts, in pixels."""
    least = max(1, geometry.min_side)
    return max(least, -(-width // 2)), max(least, -(-height // 2))


def estimated_tokens(geometry: Geometry, row: Row) -> int:
    """Estimate the length of a row in tokens."""
    total = 0
    for segment in row:
        if isinstance(segment, Text):
            total += segment.tokens
            continue
        if isinstance(segment, Audio):
            total += geometry.audio_tokens + _estimated_audio(geometry, segment)
            continue
        total += estimated_cells(geometry, segment)
        if isinstance(segment, Image):
            total += geometry.frame_tokens
        else:
            steps = temporal_patches(geometry, segment)
            total += geometry.video_tokens + steps * geometry.step_tokens
    return total
