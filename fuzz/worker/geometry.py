"""Asking the real config and the real processor for the sizes at which they change."""

from __future__ import annotations

from fuzz.worker import release
from fuzz.worker.inputs import draw_pixels
from fuzz.worker.subject import Subject
from strategies.case import Image
from strategies.geometry import Geometry, without_images


def geometry_of(subject: Subject) -> Geometry:
    """Return the geometry of a subject, all lengths in the units of :class:`Geometry`."""
    text = release.text_config(subject.config)
    sliding = text.sliding_window if getattr(text, "use_sliding_window", False) else None
    sizes = {
        "max_positions": int(text.max_position_embeddings),
        "sliding_window": int(sliding or 0),
        "frame_tokens": subject.family.frame_tokens,
    }
    vision = release.vision_config(subject.config)
    if vision is None:
        return without_images(**sizes)
    processor = subject.processor
    min_side = _smallest_side(subject, vision.patch_size * vision.spatial_merge_size)
    size = getattr(processor, "size", None) or {}
    return Geometry(
        images=True,
        patch=int(vision.patch_size),
        merge=int(vision.spatial_merge_size),
        temporal_patch=int(vision.temporal_patch_size),
        window=int(getattr(vision, "window_size", 0) or 0),
        min_pixels=int(getattr(processor, "min_pixels", None) or size["shortest_edge"]),
        max_pixels=int(getattr(processor, "max_pixels", None) or size["longest_edge"]),
        max_aspect=_largest_aspect(subject, max(2, min_side)),
        min_side=min_side,
        **sizes,
    )


def _accepts(subject: Subject, width: int, height: int) -> bool:
    try:
        subject.processor(images=[draw_pixels(Image(width, height), 0)], return_tensors="pt")
    except ValueError:
        return False
    return True


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
