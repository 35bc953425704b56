"""How an image or a video becomes placeholder tokens and tensors, and how a batch's are joined."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

import PIL.Image
import torch

from fuzz.worker import release
from fuzz.worker.subject import Subject

TEXT = 0
IMAGE = 1
VIDEO = 2
AUDIO = 3
"""Types of tokens, as ``mm_token_type_ids`` has them."""


@dataclass(frozen=True, slots=True)
class Block:
    """Placeholders that the decoder numbers together.

    Attributes:
        span: the half-open range of its tokens.
        grid: (t, h, w) in patches.
        seconds: see :attr:`strategies.case.Video.seconds`; 0 where nobody tells the decoder.
    """

    span: tuple[int, int]
    grid: tuple[int, int, int]
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Placed:
    """What one image, one video or one recording became.

    Attributes:
        ids: its tokens, the markers around it (and within it) included.
        types: one for each of them: ``IMAGE``, ``VIDEO`` or ``AUDIO`` for a placeholder, else
            ``TEXT``.
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
    def is_video(self) -> bool:
        """Whether it is a video's."""
        return "video_grid_thw" in self.tensors

    @property
    def is_audio(self) -> bool:
        """Whether it is a recording's."""
        return "input_features" in self.tensors

    @property
    def noun(self) -> str:
        """What it is, in a word."""
        return "audio" if self.is_audio else "video" if self.is_video else "image"

    @property
    def has_grid(self) -> bool:
        """Whether it is told of by a grid of patches."""
        return self.is_video or "image_grid_thw" in self.tensors

    @property
    def grid(self) -> tuple[int, int, int]:
        """(t, h, w) in patches, of what has a grid."""
        name = "video_grid_thw" if self.is_video else "image_grid_thw"
        t, h, w = (int(x) for x in self.tensors[name][0])
        return t, h, w

    @property
    def pixels(self) -> torch.Tensor:
        """Its pixels as the model gets them."""
        return self.tensors["pixel_values_videos" if self.is_video else "pixel_values"]

    @property
    def blocks(self) -> tuple[Block, ...]:
        """Its blocks, in order: one, or one for each temporal patch where they stand apart."""
        t, h, w = self.grid
        if not self.is_video:
            return (Block(self.span, (t, h, w)),)
        edges = [n for n in range(1, len(self.ids)) if self.types[n] != self.types[n - 1]]
        spans = list(zip(edges[::2], edges[1::2], strict=True))
        if len(spans) == 1:
            told = self.tensors.get("second_per_grid_ts")
            return (Block(spans[0], (t, h, w), 0.0 if told is None else float(told[0])),)
        return tuple(Block(span, (1, h, w)) for span in spans)

    @property
    def steps(self) -> tuple[tuple[int, int], ...]:
        """The half-open range of placeholders of each temporal patch of a video."""
        return tuple(
            (start + n * (end - start) // t, start + (n + 1) * (end - start) // t)
            for (start, end), (t, _, _) in ((block.span, block.grid) for block in self.blocks)
            for n in range(t)
        )


@dataclass(frozen=True, slots=True)
class Placer:
    """A way to place images.

    Attributes:
        place: makes a :class:`Placed` of the subject, an image, and placeholders too many.
        by_row: whether the tensors of each row are kept apart, (rows, most of a row, ...), short
            rows filled up with zeros; else those of all rows stand one after the other.
    """

    place: Callable[[Subject, PIL.Image.Image, int], Placed]
    by_row: bool = False


def place(subject: Subject, image: PIL.Image.Image, extra: int = 0) -> Placed:
    """Return what the family's processor makes of an image.

    Args:
        subject: the model's config and processor.
        image: the image.
        extra: placeholder tokens too many, or too few.
    """
    return PLACERS[subject.family.placing].place(subject, image, extra)


def join(subject: Subject, rows: Sequence[Sequence[Placed]]) -> dict[str, torch.Tensor]:
    """Join the tensors of a batch's images and videos by their names, one after the other.

    Images that a processor leaves at different sizes are filled up with zeros at their lower and
    right ends, as processors do it.

    Args:
        subject: says how the family's images are joined.
        rows: the images and videos of each row.
    """
    names = dict.fromkeys(name for row in rows for image in row for name in image.tensors)
    joined = {}
    for name in names:
        parts = [[i.tensors[name] for i in row if name in i.tensors] for row in rows]
        if PLACERS[subject.family.placing].by_row:
            like = next(part for row in parts for part in row)
            whole = [torch.cat(_filled_up([like[:0], *row], from_axis=1)) for row in parts]
            joined[name] = torch.stack(_filled_up(whole, from_axis=0))
        else:
            joined[name] = torch.cat(_filled_up([x for row in parts for x in row], from_axis=1))
    return joined


def grids(images: Sequence[Placed], device: torch.device) -> dict[str, torch.Tensor]:
    """Join what positions follow from, of the images and videos of one row."""
    found = {
        name: [i.tensors[name].to(device) for i in images if name in i.tensors]
        for name in release.GRIDS
    }
    return {name: torch.cat(parts) for name, parts in found.items() if parts}


def _filled_up(parts: Sequence[torch.Tensor], from_axis: int) -> list[torch.Tensor]:
    """Fill tensors up with zeros to one shape, the axes before ``from_axis`` left alone."""
    shape = [max(sizes) for sizes in zip(*(x.shape for x in parts), strict=True)]
    filled = []
    for x in parts:
        whole = [*x.shape[:from_axis], *shape[from_axis:]]
        new = x.new_zeros(whole)
        new[tuple(slice(n) for n in x.shape)] = x
        filled.append(new)
    return filled


def columns(subject: Subject, token_types: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return what the model is told of each token beside its id, each (batch, width) int64.

    Args:
        subject: says what its family needs.
        token_types: (batch, width), 0 for text, 1 and 2 for placeholders.
    """
    kind = subject.family.told_of_tokens
    if kind == "images":
        return {"token_type_ids": token_types}
    # All of a prompt is prefix: what is called its suffix is the answer.
    return {"token_type_ids": torch.zeros_like(token_types)} if kind == "prefix" else {}


def _by_grid(subject: Subject, image: PIL.Image.Image, extra: int) -> Placed:
    """Place as many placeholders as merged cells, by ``image_grid_thw``, between two markers."""
    config = subject.config
    out = subject.processor(images=[image], return_tensors="pt")
    t, h, w = (int(x) for x in out["image_grid_thw"][0])
    merge = release.vision_config(config).spatial_merge_size
    count = t * h * w // merge**2 + extra
    if subject.family.placing == "grid_with_line_ends":
        # One more for the end of each row, one before the image and one after it.
        count += t * h // merge + 2
    return Placed(
        ids=(mark(config, "start"), *[config.image_token_id] * count, mark(config, "end")),
        types=(TEXT, *[IMAGE] * count, TEXT),
        span=(1, 1 + count),
        tensors={name: out[name] for name in ("pixel_values", "image_grid_thw")},
    )


def mark(config: Any, end: str) -> int:
    """Return the id of the marker before (``start``) or after (``end``) an image or a frame."""
    for name in (f"vision_{end}_token_id", f"image_{end}_token_id", f"im_{end}_id"):
        if isinstance(value := getattr(config, name, None), int):
            return value
    raise LookupError(f"the config names no token for the {end} of an image")


def _fixed(subject: Subject, image: PIL.Image.Image, extra: int) -> Placed:
    """Place the same number of placeholders for every image, whatever its size."""
    out = subject.processor(images=[image], return_tensors="pt")
    count = tokens_of_tile(subject.config) + extra
    return _between_markers(subject.config, count, {"pixel_values": out["pixel_values"]})


def _tiles(subject: Subject, image: PIL.Image.Image, extra: int) -> Placed:
    """Place the same number for each tile that the processor cuts an image into."""
    out = subject.processor(images=[image], return_tensors="pt")
    pixels = out["pixel_values"]
    count = len(pixels) * tokens_of_tile(subject.config) + extra
    return _between_markers(subject.config, count, {"pixel_values": pixels})


def _marked_tiles(subject: Subject, image: PIL.Image.Image, extra: int) -> Placed:
    """Place the same number for each tile, with two text tokens before every tile.

    They are what names a tile's row and column in prompts of these models; here they are ordinary
    tokens (0 and 1), since the config does not tell their ids. Another one ends the image.
    """
    out = subject.processor(images=[image], return_tensors="pt")
    pixels = out["pixel_values"][0]
    ids: list[int] = []
    for number in range(len(pixels)):
        count = tokens_of_tile(subject.config) + (extra if number == 0 else 0)
        ids += [0, 1, *[image_token(subject.config)] * count]
    names = ("pixel_values", "pixel_attention_mask")
    return placed(subject.config, [*ids, 0], {name: out[name][0] for name in names})


def _lines(subject: Subject, image: PIL.Image.Image, extra: int) -> Placed:
    """Place merged rows of the image's own size, by ``image_sizes``, a text token after each.

    That token (0; 1 after the last) stands for the line break and end of these models' prompts,
    whose ids the config does not tell.
    """
    out = subject.processor(images=[image], return_tensors="pt")
    height, width = (int(x) for x in out["image_sizes"][0])
    cell = cell_of(subject.config)
    ids: list[int] = [image_token(subject.config)] * extra
    for row in range(height // cell):
        ids += [*[image_token(subject.config)] * (width // cell), row == height // cell - 1]
    if extra < 0:
        ids = ids[-extra:]
    sizes = torch.tensor([[height, width]])
    return placed(
        subject.config,
        [int(i) for i in ids],
        {"pixel_values": out["pixel_values"], "image_sizes": sizes},
    )


def _any_resolution(subject: Subject, image: PIL.Image.Image, extra: int) -> Placed:
    """Place a small whole, and the rows of the tiled image without its borders.

    Each row of the latter ends with one more placeholder, a learned line break (LLaVA-NeXT's
    scheme; LLaVA-OneVision, arXiv:2408.03326, section 3.2).
    """
    config = subject.config
    out = subject.processor(images=[image], return_tensors="pt")
    tile, side = int(config.vision_config.image_size), math.isqrt(tokens_of_tile(config))
    height, width = _best_resolution(image, config.image_grid_pinpoints)
    rows, cols = height // tile * side, width // tile * side
    # The image keeps its shape within the tiles; the borders that leaves are cut off again, as
    # many patches at one end as at the other.
    if image.width * rows > cols * image.height:
        rows -= (rows - int(round(image.height * (cols / image.width), 7))) // 2 * 2
    else:
        cols -= (cols - int(round(image.width * (rows / image.height), 7))) // 2 * 2
    # LLaVA-OneVision scales down what is more than so many tiles.
    limit = str(getattr(config, "vision_aspect_ratio", ""))
    if limit.startswith("anyres_max_"):
        ratio = math.sqrt(rows * cols / (int(limit.removeprefix("anyres_max_")) * side**2))
        if ratio > 1.1:
            rows, cols = int(rows // ratio), int(cols // ratio)
    count = side**2 + rows * (cols + 1) + extra
    sizes = torch.tensor([[image.height, image.width]])
    return _between_markers(
        config, count, {"pixel_values": out["pixel_values"], "image_sizes": sizes}
    )


def _best_resolution(
    image: PIL.Image.Image, resolutions: Sequence[Sequence[int]]
) -> tuple[int, int]:
    """Return the (height, width) that shows most of an image's pixels, the least of these."""

    def worth(size: Sequence[int]) -> tuple[int, int]:
        scale = min(size[1] / image.width, size[0] / image.height)
        shown = int(image.width * scale) * int(image.height * scale)
        shown = min(shown, image.width * image.height)
        return shown, -(size[0] * size[1] - shown)

    height, width = max(resolutions, key=worth)
    return height, width


def image_token(config: Any) -> int:
    """Return the id of an image's placeholder, under its new or old name."""
    for name in ("image_token_id", "image_token_index"):
        if isinstance(value := getattr(config, name, None), int):
            return value
    raise LookupError("the config names no image token")


def cell_of(config: Any) -> int:
    """Return the pixels along one side of what becomes one token."""
    return int(config.vision_config.patch_size) * int(getattr(config, "spatial_merge_size", 1))


def tokens_of_tile(config: Any) -> int:
    """Return how many placeholders an image of the tower's own size becomes."""
    if (stated := getattr(config, "mm_tokens_per_image", None)) is not None:
        return int(stated)
    vision = config.vision_config
    size, patch = (
        int(x[0] if isinstance(x, (list, tuple)) else x)
        for x in (vision.image_size, vision.patch_size)
    )
    merge = getattr(config, "scale_factor", None) or 1 / getattr(config, "downsample_ratio", 1)
    if rate := getattr(config, "downsample_rate", None):
        merge = 1 / Fraction(rate)
    side = size // patch / merge
    return int(side * side)


def _between_markers(config: Any, count: int, tensors: Mapping[str, torch.Tensor]) -> Placed:
    """Put placeholders between the two markers, where the config names any."""
    marks = []
    for stem in ("vision_start", "vision_end"), ("boi", "eoi"):
        found = [
            value
            for name in stem
            for end in ("_token_id", "_token_index")
            if isinstance(value := getattr(config, name + end, None), int)
        ]
        if len(found) >= 2:
            marks = [found[0], found[-1]]
            break
    placeholders = [image_token(config)] * count
    return placed(config, [*marks[:1], *placeholders, *marks[1:]], tensors)


def placed(config: Any, ids: Sequence[int], tensors: Mapping[str, torch.Tensor]) -> Placed:
    """Return what an image became, of its tokens and what the model is handed beside them."""
    types = tuple(IMAGE if i == image_token(config) else TEXT for i in ids)
    places = [n for n, kind in enumerate(types) if kind == IMAGE]
    span = (places[0], places[-1] + 1) if places else (0, 0)
    return Placed(tuple(ids), types, span, tensors)


def _crossing(subject: Subject, image: PIL.Image.Image, extra: int) -> Placed:
    """Place one token for an image, which layers of cross attention see beside the tokens."""
    out = subject.processor(images=[image], return_tensors="pt")
    names = ("pixel_values", "aspect_ratio_ids", "aspect_ratio_mask")
    tokens = [image_token(subject.config)] * (1 + extra)
    return placed(subject.config, tokens, {name: out[name][0] for name in names})


def _by_processor(subject: Subject, image: PIL.Image.Image, extra: int) -> Placed:
    """Place what the whole processor of a checkpoint directory places."""
    from fuzz.worker import by_processor  # which needs this module

    return by_processor.place(subject, image, extra)


PLACERS: Final[Mapping[str, Placer]] = {
    "grid": Placer(_by_grid),
    "grid_with_line_ends": Placer(_by_grid),
    "fixed": Placer(_fixed),
    "tiles": Placer(_tiles),
    "marked_tiles": Placer(_marked_tiles, by_row=True),
    "lines": Placer(_lines),
    "any_resolution": Placer(_any_resolution),
    "crossing": Placer(_crossing, by_row=True),
    "processor": Placer(_by_processor),
    "processor_by_row": Placer(_by_processor, by_row=True),
}
"""By the name that a family's data gives."""


def arguments(tensors: Mapping[str, torch.Tensor], function: Any) -> dict[str, torch.Tensor]:
    """Return the tensors that a function takes."""
    return {name: x for name, x in tensors.items() if release.accepts(function, name)}
