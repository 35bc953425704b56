"""What a target's image processor makes of image sizes, without running the model."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Sequence
from typing import Any, Final

import PIL.Image

from fuzz.worker import placing, release
from fuzz.worker.subject import Subject

Size = tuple[int, int]

_TRIED: Final = 24


def sizes_of(subject: Subject, sizes: Sequence[Size]) -> list[list[int] | None]:
    """Return the merged grid that each image size becomes: (columns, rows), both in cells.

    Where the processor's module has the arithmetic as a function (``smart_resize``), it is used,
    after it was held against the processor itself on some of the sizes; else every size goes
    through the processor.

    Args:
        subject: the subject, of a family whose images become grids.
        sizes: (width, height) in pixels.

    Returns:
        For each size its columns and rows; None for one that is refused.
    """
    quick = _arithmetic(subject)
    if quick is not None:
        step = max(1, len(sizes) // _TRIED)
        some = sizes[::step]
        if all(_by_processor(subject, size) == quick(size) for size in some):
            return [quick(size) for size in sizes]
    return [_by_processor(subject, size) for size in sizes]


def has_grids(subject: Subject) -> bool:
    """Tell whether the family's images become grids of merged cells."""
    return subject.processor is not None and subject.family.placing.startswith("grid")


def _by_processor(subject: Subject, size: Size) -> list[int] | None:
    try:
        placed = placing.place(subject, PIL.Image.new("RGB", size))
    except ValueError:
        return None
    _, h, w = placed.grid
    merge = release.vision_config(subject.config).spatial_merge_size
    return [w // merge, h // merge]


def _arithmetic(subject: Subject) -> Callable[[Size], list[int] | None] | None:
    """Return the processor's own arithmetic on sizes, None where it has none of its own."""
    processor = subject.processor
    module = sys.modules.get(type(processor).__module__)
    resize = getattr(module, "smart_resize", None)
    vision = release.vision_config(subject.config)
    limits = _limits(processor)
    if resize is None or limits is None:
        return None
    names = set(inspect.signature(resize).parameters)
    cell = vision.patch_size * vision.spatial_merge_size
    frames = vision.temporal_patch_size
    given: dict[str, Any] = {"factor": cell, "min_pixels": limits[0], "max_pixels": limits[1]}
    given |= {"num_frames": frames, "temporal_factor": frames}
    given = {name: value for name, value in given.items() if name in names}
    if not {"height", "width", "factor"} <= names:
        return None

    def grid(size: Size) -> list[int] | None:
        try:
            height, width = resize(width=size[0], height=size[1], **given)
        except ValueError:
            return None
        return [width // cell, height // cell]

    return grid


def _limits(processor: Any) -> tuple[int, int] | None:
    size = getattr(processor, "size", None) or {}
    least = getattr(processor, "min_pixels", None) or size.get("shortest_edge")
    most = getattr(processor, "max_pixels", None) or size.get("longest_edge")
    return (int(least), int(most)) if least and most else None
