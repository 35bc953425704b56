"""From the rows of a case to token ids and images, as numbers and shapes.

Text tokens are drawn as the worker draws them. What an image becomes follows from the published
resizing rule; its pixels are noise anyway, so a script draws them in the shape that the model gets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fuzz.errors import UsageProblem
from fuzz.repro.facts import Facts, geometry_of, tokens_of_tile
from strategies.case import Case, Image, Row, Text
from strategies.geometry import estimated_grid


@dataclass(frozen=True, slots=True)
class Picture:
    """What an image becomes.

    Attributes:
        shape: of its pixels as the model gets them.
        grid: (t, h, w) in patches, none where the family has no grids.
        cells: its placeholder tokens.
    """

    shape: tuple[int, ...]
    grid: tuple[int, ...]
    cells: int


@dataclass(frozen=True, slots=True)
class Prompt:
    """One row before padding.

    Attributes:
        ids: token ids.
        pictures: what its images became.
        end: the token after the last image (its end marker included), 0 without images.
    """

    ids: tuple[int, ...]
    pictures: tuple[Picture, ...]
    end: int


@dataclass(frozen=True, slots=True)
class Batch:
    """Prompts padded to one width.

    Attributes:
        prompts: the rows.
        ids: token ids, padding included.
        mask: one for each of them, 0 for padding.
        masked: whether the mask is passed.
        starts: column of each row's first token.
    """

    prompts: tuple[Prompt, ...]
    ids: tuple[tuple[int, ...], ...]
    mask: tuple[tuple[int, ...], ...]
    masked: bool
    starts: tuple[int, ...]

    @property
    def width(self) -> int:
        """Columns."""
        return len(self.ids[0])

    @property
    def padded(self) -> bool:
        """Whether there is any padding."""
        return any(0 in row for row in self.mask)

    @property
    def pictures(self) -> tuple[Picture, ...]:
        """What all images became, in order."""
        return tuple(picture for p in self.prompts for picture in p.pictures)

    @property
    def images_end(self) -> int:
        """First column after the last image, or 0."""
        pairs = zip(self.starts, self.prompts, strict=True)
        ends = [start + p.end for start, p in pairs if p.pictures]
        return min(max(ends, default=0), self.width)


def prompt_of(facts: Facts, row: Row, seed: int, extra: int = 0, last: int = 0) -> Prompt:
    """Draw one row as the worker does.

    Args:
        facts: of the family.
        row: what the row holds.
        seed: draws token ids.
        extra: placeholder tokens too many for the first image.
        last: changes the last token of a text that ends the row.

    Raises:
        UsageProblem: the row holds a video.
    """
    ids: list[int] = []
    pictures: list[Picture] = []
    end = 0
    for number, segment in enumerate(row):
        if isinstance(segment, Text):
            own = np.random.default_rng(seed * 10_007 + number)
            drawn = own.integers(0, facts.limit, segment.tokens).tolist()
            if last and number == len(row) - 1 and drawn:
                drawn[-1] = (drawn[-1] + last) % facts.limit
            ids += drawn
            continue
        if not isinstance(segment, Image):
            raise UsageProblem("videos are not supported in scripts")
        picture = picture_of(facts, segment)
        placeholders = [facts.image] * (picture.cells + (0 if pictures else extra))
        ids += [*facts.marks[:1], *placeholders, *facts.marks[1:]]
        pictures.append(picture)
        end = len(ids)
    return Prompt(tuple(ids), tuple(pictures), end)


def picture_of(facts: Facts, image: Image) -> Picture:
    """Return what an image becomes.

    Raises:
        UsageProblem: images of the family are placed in a way that is not known here.
    """
    family = facts.family
    if family.placing == "fixed":
        settings = family.processor
        size = settings.get("crop_size") or settings["size"]
        return Picture((1, 3, size["height"], size["width"]), (), tokens_of_tile(family))
    if not family.placing.startswith("grid"):
        raise UsageProblem(f"images of {family.name} are not supported in scripts")
    geometry = geometry_of(family)
    across, down = estimated_grid(geometry, image)
    cells = across * down
    if family.placing == "grid_with_line_ends":
        cells += down + 2
    h, w = down * geometry.merge, across * geometry.merge
    return Picture((h * w, 3 * geometry.temporal_patch * geometry.patch**2), (1, h, w), cells)


def prompts_of(facts: Facts, case: Case, last: int = 0) -> list[Prompt]:
    """Draw the rows of a case; see :func:`prompt_of`."""
    return [
        prompt_of(facts, row, case.seed * 101 + number, case.extra_placeholders, last)
        for number, row in enumerate(case.rows)
    ]


def collate(
    facts: Facts, prompts: Sequence[Prompt], side: str = "left", width: int = 0, masked: bool = True
) -> Batch:
    """Pad prompts to one width, at least ``width``; a mask is passed where something is padded."""
    width = max([width, *(len(p.ids) for p in prompts)])
    ids, mask, starts = [], [], []
    for p in prompts:
        lack = width - len(p.ids)
        left = lack if side == "left" else 0
        starts.append(left)
        ids.append((facts.padding,) * left + p.ids + (facts.padding,) * (lack - left))
        mask.append((0,) * left + (1,) * len(p.ids) + (0,) * (lack - left))
    masked = masked or any(0 in row for row in mask)
    return Batch(tuple(prompts), tuple(ids), tuple(mask), masked, tuple(starts))


def batch_of(facts: Facts, case: Case) -> Batch:
    """Draw the rows of a case and pad them as it says."""
    prompts = prompts_of(facts, case)
    width = max(len(p.ids) for p in prompts) + case.extra_padding
    return collate(facts, prompts, case.side, width, case.attention_mask)
