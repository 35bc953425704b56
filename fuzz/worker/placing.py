"""How an image becomes placeholder tokens and tensors, and how those of a batch are joined."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import PIL.Image
import torch

from fuzz.worker import release
from fuzz.worker.subject import Subject

TEXT = 0
IMAGE = 1
"""Types of tokens, as ``mm_token_type_ids`` has them."""


@dataclass(frozen=True, slots=True)
class Placed:
    """What one image became.

    Attributes:
        ids: its tokens, the markers around it (and within it) included.
        types: one for each of them, ``IMAGE`` for a placeholder and else ``TEXT``.
        span: the half-open range of ``ids`` from its first placeholder to its last.
        tensors: what the model is handed beside the tokens, by the name of the argument; the
            first axis counts patches, tiles or images, so that those of several are joined on it.
    """

    ids: tuple[int, ...]
    types: tuple[int, ...]
    span: tuple[int, int]
    tensors: Mapping[str, torch.Tensor]

    @property
    def after(self) -> int:
        """Tokens after its last placeholder: its end marker."""
        return len(self.ids) - self.span[1]

    @property
    def grid(self) -> tuple[int, int, int]:
        """(t, h, w) in patches, of an image that has an ``image_grid_thw``."""
        t, h, w = (int(x) for x in self.tensors["image_grid_thw"][0])
        return t, h, w


def place(subject: Subject, image: PIL.Image.Image, extra: int = 0) -> Placed:
    """Return what the family's processor makes of an image.

    Args:
        subject: the model's config and processor.
        image: the image.
        extra: placeholder tokens too many, or too few.
    """
    config = subject.config
    out = subject.processor(images=[image], return_tensors="pt")
    t, h, w = (int(x) for x in out["image_grid_thw"][0])
    count = t * h * w // release.vision_config(config).spatial_merge_size ** 2 + extra
    return Placed(
        ids=(
            config.vision_start_token_id,
            *[config.image_token_id] * count,
            config.vision_end_token_id,
        ),
        types=(TEXT, *[IMAGE] * count, TEXT),
        span=(1, 1 + count),
        tensors={name: out[name] for name in ("pixel_values", "image_grid_thw")},
    )


def join(rows: Sequence[Sequence[Placed]]) -> dict[str, torch.Tensor]:
    """Join the tensors of a batch's images by their names, one image after the other.

    Args:
        rows: the images of each row.
    """
    images = [image for row in rows for image in row]
    names = dict.fromkeys(name for image in images for name in image.tensors)
    return {name: torch.cat([i.tensors[name] for i in images]) for name in names}


def arguments(tensors: Mapping[str, torch.Tensor], function: Any) -> dict[str, torch.Tensor]:
    """Return the tensors that a function takes."""
    return {name: x for name, x in tensors.items() if release.accepts(function, name)}
