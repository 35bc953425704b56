"""Images that layers of cross attention see beside the tokens, as in Llama 3.2 Vision."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch

from fuzz.worker.placing import Placed

MASK: Final = "cross_attention_mask"
"""What the model is told of each token: which images, and which tiles of them, it sees."""


def seen_images(
    rows: Sequence[Sequence[Placed]],
    places: Sequence[Sequence[int]],
    width: int,
) -> torch.Tensor | None:
    """Return the mask of a batch, (rows, width, most images, tiles) int64; None without an image.

    An image is seen from its token on, up to the next image; images whose tokens follow each other
    are seen as long as the last of them (Llama 3.2 Vision's processor, transformers 4.45 on).

    Args:
        rows: the images of each row.
        places: the column of each image's token.
        width: columns of the batch.
    """
    most = max(map(len, rows))
    if not most:
        return None
    tiles = next(image.tensors["aspect_ratio_mask"] for row in rows for image in row).shape[-1]
    mask = torch.zeros(len(rows), width, most, tiles, dtype=torch.int64)
    for line, (images, columns) in enumerate(zip(rows, places, strict=True)):
        ends = [*columns[1:], width]
        for number in reversed(range(len(images))):
            if number + 1 < len(images) and columns[number + 1] == columns[number] + 1:
                ends[number] = ends[number + 1]
            used = int(images[number].tensors["aspect_ratio_mask"].sum())
            mask[line, columns[number] : ends[number], number, :used] = 1
    return mask


def with_empty_images(mask: torch.Tensor) -> torch.Tensor:
    """Give images that only fill up a row one tile, as the processor does: none at all is NaN."""
    filled = mask.clone()
    filled[..., 0] = 1
    return filled
