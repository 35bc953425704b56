"""Asking the real config and the real processor for the sizes at which they change."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from traceback import walk_tb
from typing import Any, Final

from fuzz.worker import audio, by_processor, release, video
from fuzz.worker.caches import lacks
from fuzz.worker.inputs import draw_pixels
from fuzz.worker.placing import IMAGE, tokens_of_tile
from fuzz.worker.subject import Subject
from strategies.case import Image
from strategies.geometry import Geometry, without_images

PROBED: Final = (32, 96, 256, 1024)
"""Pixels along the sides of the squares that an unknown processor is asked about."""
MAX_ASPECT: Final = 200
"""Beyond it nothing changes where no processor asks: as long as Qwen's may be, and cheap."""


def geometry_of(subject: Subject) -> Geometry:
    """Return the geometry of a subject, all lengths in the units of :class:`Geometry`."""
    text = release.text_config(subject.config)
    sizes: dict[str, Any] = {
        "max_positions": int(text.max_position_embeddings),
        "sliding_window": release.sliding_window(text),
        "frame_tokens": subject.family.frame_tokens,
        "alike_up_to": release.rope_settings(subject.config).limit,
        "lacks": tuple(sorted(lacks(subject))),
    }
    vision = release.vision_config(subject.config)
    if vision is None or not subject.family.placing:
        return replace(without_images(**sizes), **audio.sizes(subject))
    if subject.family.placing in by_processor.PLACINGS:
        return _asked(subject, sizes)
    if not subject.family.placing.startswith("grid"):
        return _unmerged(subject, vision, sizes)
    processor = subject.processor
    min_side = _smallest_side(subject, vision.patch_size * vision.spatial_merge_size)
    size = getattr(processor, "size", None) or {}
    frames = vision.temporal_patch_size if release.counts_frames(processor) else 1
    return Geometry(
        images=True,
        patch=int(vision.patch_size),
        merge=int(vision.spatial_merge_size),
        temporal_patch=int(vision.temporal_patch_size),
        window=int(getattr(vision, "window_size", 0) or 0),
        min_pixels=int(getattr(processor, "min_pixels", None) or size["shortest_edge"]) // frames,
        max_pixels=int(getattr(processor, "max_pixels", None) or size["longest_edge"]) // frames,
        max_aspect=_largest_aspect(subject, max(2, min_side)),
        min_side=min_side,
        videos=bool(subject.family.video),
        **video.tokens_around(subject),
        **sizes,
    )


def _unmerged(subject: Subject, vision: Any, sizes: dict[str, Any]) -> Geometry:
    """Return the geometry of a target whose processor brings images to sizes of the tower's own."""
    placing = subject.family.placing
    patch = vision.patch_size
    patch = int(patch[0] if isinstance(patch, (list, tuple)) else patch)
    merge = int(getattr(subject.config, "spatial_merge_size", 1))
    side = vision.image_size
    side = int(side[0] if isinstance(side, (list, tuple)) else side)
    tiled = placing in ("tiles", "marked_tiles", "any_resolution")
    return Geometry(
        patch=patch,
        merge=merge,
        min_pixels=1,
        max_pixels=side * side,
        tile_tokens=_tile_tokens(subject),
        tile=side if tiled else 0,
        most_tiles=subject.family.most_tiles,
        **_without_grids(subject, patch * merge),
        **sizes,
    )


def _without_grids(subject: Subject, cell: int) -> dict[str, Any]:
    """Return what is found alike of every target whose processor tells no grids.

    Args:
        subject: the target.
        cell: pixels along one side of what one token stands for.
    """
    min_side = _smallest_side(subject, cell)
    max_aspect = _largest_aspect(subject, max(2, min_side), MAX_ASPECT)
    return {
        "images": True,
        "temporal_patch": 1,
        "window": 0,
        "max_aspect": max_aspect,
        "aspect_refused": max_aspect < MAX_ASPECT,
        "takes_embeddings": release.generates_from_embeddings(subject.family.architecture),
        "min_side": min_side,
        "one_axis": True,
    }


def _tile_tokens(subject: Subject) -> int:
    if subject.family.placing == "crossing":
        return 1
    return 0 if subject.family.placing == "lines" else tokens_of_tile(subject.config)


def _asked(subject: Subject, sizes: dict[str, Any]) -> Geometry:
    """Return the geometry of a target whose whole processor tells what images become."""
    counts = [_tokens(subject, side) for side in PROBED]
    alike = len(set(counts)) == 1
    more = [side / math.sqrt(n) for side, n in zip(PROBED, counts, strict=True) if n > counts[0]]
    cell = max(1, round(min(more, default=PROBED[0])))
    return Geometry(
        patch=cell,
        merge=1,
        min_pixels=1 if alike else counts[0] * cell**2,
        max_pixels=PROBED[0] ** 2 if alike else max(counts) * cell**2,
        tile_tokens=counts[0] if alike else 0,
        **_without_grids(subject, cell),
        **sizes,
    )


def _tokens(subject: Subject, side: int) -> int:
    placed = by_processor.place(subject, draw_pixels(Image(side, side), 0), 0)
    return sum(kind == IMAGE for kind in placed.types)


def _accepts(subject: Subject, width: int, height: int) -> bool:
    try:
        subject.processor(images=[draw_pixels(Image(width, height), 0)], return_tensors="pt")
    except ValueError as error:
        # What dies further in was not refused: old releases shrink long images to nothing.
        return _raised_in(error) == "image_transforms"
    return True


def _raised_in(error: Exception) -> str:
    """Return the name of the module of transformers that an exception was raised in, or below."""
    frames = [f.f_code.co_filename for f, _ in walk_tb(error.__traceback__)]
    return next((Path(name).stem for name in reversed(frames) if "transformers" in name), "")


def _smallest_side(subject: Subject, cell: int) -> int:
    """Find the smallest square that the processor accepts, in pixels, up to one merged cell.

    One pixel is not asked for: 4.57.6 to 5.2.0 take a single row of pixels for a channel axis,
    which is a defect to be found and not a limit to be respected.
    """
    side = next((n for n in range(2, cell) if _accepts(subject, n, n)), cell)
    return 1 if side == 2 else side


def _largest_aspect(subject: Subject, height: int, limit: int = 1024) -> int:
    """Find the largest aspect ratio that the processor accepts, by bisection over widths."""
    low, high = 1, limit
    while low < high:
        middle = (low + high + 1) // 2
        if _accepts(subject, middle * height, height):
            low = middle
        else:
            high = middle - 1
    return low
