"""From a Case to the tensors that a processor would hand to the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import Any, Final

import numpy as np
import PIL.Image
import torch

from fuzz.worker import audio, crossing, placing, release, video
from fuzz.worker.exact import LOW
from fuzz.worker.placing import Block, Placed
from fuzz.worker.subject import Subject, text_ids
from strategies.case import Audio, Image, Row, Text, Video

FEATURES: Final = "input_features"
"""What a model calls the features of audio; pixels are all called ``pixel_values...``."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """One row before padding.

    Attributes:
        ids: token ids.
        types: 0 for text tokens, 1 for image placeholders, 2 for a video's, 3 for audio's, one per
            token.
        images: what each image, each video and each recording became.
        spans: for each of them the half-open range from its first placeholder to its last.
    """

    ids: tuple[int, ...]
    types: tuple[int, ...]
    images: tuple[Placed, ...]
    spans: tuple[tuple[int, int], ...]

    @property
    def pixels(self) -> tuple[torch.Tensor, ...]:
        """Per image and video its pixels as the model gets them, float32."""
        return tuple(image.pixels for image in self.images)

    @property
    def grids(self) -> tuple[tuple[int, int, int], ...]:
        """Per image and video (t, h, w) in patches, where the family has grids."""
        return tuple(i.grid for i in self.images if i.has_grid)

    @property
    def blocks(self) -> tuple[Block, ...]:
        """What the decoder numbers together, in order, where the family has grids."""
        return tuple(b for i in self.images if i.has_grid for b in i.blocks)

    def followed_by(self, other: Prompt) -> Prompt:
        """Return this prompt with another one after it, as one row."""
        at = len(self.ids)
        return Prompt(
            ids=self.ids + other.ids,
            types=self.types + other.types,
            images=self.images + other.images,
            spans=(*self.spans, *((start + at, end + at) for start, end in other.spans)),
        )


@dataclass(frozen=True, slots=True)
class Batch:
    """Prompts padded to one width.

    Attributes:
        prompts: the rows.
        input_ids: (batch, width) int64.
        attention_mask: (batch, width) int64, or None when none is to be passed.
        token_types: (batch, width) int64.
        starts: column of each prompt's first token.
        packed: whether the prompts stand one after the other in a single row.
        tensors: what the model is handed beside the tokens, by the name of the argument; pixels are
            float32 as the processor gives them, or in the target's low dtype, as callers cast them.
        columns: what the model is told of each token beside its id, by the name of the argument,
            each (batch, width) or (batch, width, ...) int64.
        whole: whether prompts cannot be fed in pieces, since their first tokens see their last.
    """

    prompts: tuple[Prompt, ...]
    input_ids: torch.Tensor
    attention_mask: torch.Tensor | None
    token_types: torch.Tensor
    starts: tuple[int, ...]
    packed: bool = False
    tensors: Mapping[str, torch.Tensor] = field(default_factory=dict)
    columns: Mapping[str, torch.Tensor] = field(default_factory=dict)
    whole: bool = False

    def to(self, dtype: torch.dtype | None) -> Batch:
        """Return the batch with its pixels and features of audio in a dtype; None leaves them."""
        return replace(
            self,
            tensors={
                name: x.to(dtype) if name.startswith("pixel_values") or name == FEATURES else x
                for name, x in self.tensors.items()
            },
        )

    def line(self, prompt: int) -> int:
        """Return the row of the tensors that a prompt stands in."""
        return 0 if self.packed else prompt

    @property
    def width(self) -> int:
        """Columns of the padded batch."""
        return int(self.input_ids.shape[1])

    @property
    def images_end(self) -> int:
        """First column after the last image's or video's last token (its end included), or 0."""
        ends = [
            start + prompt.spans[-1][1] + prompt.images[-1].after
            for start, prompt in zip(self.starts, self.prompts, strict=True)
            if prompt.spans
        ]
        return min(max(ends, default=0), self.width)


def draw_frames(video: Video, seed: int) -> list[PIL.Image.Image]:
    """Return the frames of a video, each drawn by itself."""
    size = Image(video.width, video.height)
    return [draw_pixels(size, seed + 104_729 * (n + 1)) for n in range(video.frames)]


def draw_pixels(image: Image, seed: int) -> PIL.Image.Image:
    """Return an RGB image of that size in pixels, its content drawn from the seed."""
    noise = np.random.default_rng(seed).integers(
        0, 256, (image.height, image.width, 3), dtype=np.uint8
    )
    return PIL.Image.fromarray(noise)


def make_prompt(
    subject: Subject, row: Row, seed: int, extra_placeholders: int = 0, last: int = 0
) -> Prompt:
    """Build one row.

    Args:
        subject: the model's config and processor.
        row: what the row holds.
        seed: draws token ids and pixels, all of them except the last segment's.
        extra_placeholders: placeholder tokens too many (or too few) for the first image or video.
        last: changes the last token (of a text) or all pixels or samples (of anything else) of the
            last segment, and nothing else.
    """
    config = subject.config
    text = text_ids(config)
    ids: list[int] = []
    types: list[int] = []
    images: list[Placed] = []
    spans: list[tuple[int, int]] = []
    for number, segment in enumerate(row):
        own = seed * 10_007 + number
        change = last if number == len(row) - 1 else 0
        if isinstance(segment, Text):
            drawn = (
                np.random.default_rng(own).integers(text.start, text.stop, segment.tokens).tolist()
            )
            if change and drawn:
                drawn[-1] = text[(drawn[-1] - text.start + change) % len(text)]
            ids += drawn
            types += [0] * segment.tokens
            continue
        image = _placed(subject, segment, own + 7_919 * change, 0 if spans else extra_placeholders)
        spans.append((len(ids) + image.span[0], len(ids) + image.span[1]))
        ids += image.ids
        types += image.types
        images.append(image)
    return Prompt(tuple(ids), tuple(types), tuple(images), tuple(spans))


def _placed(
    subject: Subject, image: Image | Video | Audio, seed: int, extra: int
) -> placing.Placed:
    # A property builds the rows of its case several times over.
    asked = (image, seed, extra)
    if asked not in subject.placed:
        if isinstance(image, Image):
            made = placing.place(subject, draw_pixels(image, seed), extra)
        elif isinstance(image, Audio):
            made = audio.place(subject, image, seed, extra)
        else:
            made = video.place(subject, draw_frames(image, seed), image.seconds, extra)
        subject.placed[asked] = made
    placed: placing.Placed = subject.placed[asked]
    return placed


def collate(
    subject: Subject,
    prompts: Sequence[Prompt],
    side: str = "left",
    width: int = 0,
    attention_mask: bool = True,
) -> Batch:
    """Pad prompts to one width.

    Args:
        subject: gives the padding id and the device.
        prompts: the rows.
        side: ``left`` or ``right``.
        width: columns at least.
        attention_mask: whether a mask is passed when nothing is padded.
    """
    width = max([width, *(len(p.ids) for p in prompts)])
    text = release.text_config(subject.config)
    padding = text.pad_token_id if isinstance(text.pad_token_id, int) else 0
    ids, mask, types, starts = [], [], [], []
    for p in prompts:
        lack = width - len(p.ids)
        left = lack if side == "left" else 0
        right = lack - left
        starts.append(left)
        ids.append([padding] * left + list(p.ids) + [padding] * right)
        mask.append([0] * left + [1] * len(p.ids) + [0] * right)
        types.append([0] * left + list(p.types) + [0] * right)
    padded = any(0 in m for m in mask)
    joined = placing.join(subject, [p.images for p in prompts])
    columns = placing.columns(subject, torch.tensor(types))
    if subject.family.placing == "crossing":
        if "aspect_ratio_mask" in joined:
            joined["aspect_ratio_mask"] = crossing.with_empty_images(joined["aspect_ratio_mask"])
        at = [[s + a for a, _ in p.spans] for s, p in zip(starts, prompts, strict=True)]
        seen = crossing.seen_images([p.images for p in prompts], at, width)
        columns = {} if seen is None else {crossing.MASK: seen}

    def tensor(data: Any) -> torch.Tensor:
        return torch.tensor(data, dtype=torch.int64, device=subject.device)

    batch = Batch(
        prompts=tuple(prompts),
        input_ids=tensor(ids),
        attention_mask=tensor(mask) if padded or attention_mask else None,
        token_types=tensor(types),
        starts=tuple(starts),
        tensors={name: x.to(subject.device) for name, x in joined.items()},
        columns={name: x.to(subject.device) for name, x in columns.items()},
        whole=subject.family.told_of_tokens == "prefix",
    )
    return batch.to(LOW.get(subject.target.dtype))


def pack(subject: Subject, prompts: Sequence[Prompt]) -> Batch:
    """Put prompts one after the other into a single row, without an attention mask."""
    joined = Prompt(
        ids=tuple(i for p in prompts for i in p.ids),
        types=tuple(t for p in prompts for t in p.types),
        images=tuple(i for p in prompts for i in p.images),
        spans=(),
    )
    row = collate(subject, [joined], attention_mask=False)
    lengths = accumulate((len(p.ids) for p in prompts), initial=0)
    return replace(row, prompts=tuple(prompts), starts=tuple(lengths)[:-1], packed=True)


def images_alone(prompt: Prompt) -> tuple[Prompt, ...]:
    """Return a prompt for each image and video of one: its placeholders and their markers."""
    return tuple(
        Prompt(ids=image.ids, types=image.types, images=(image,), spans=(image.span,))
        for image in prompt.images
    )
