"""From the rows of a case to token ids, images and videos, as numbers and shapes.

Text tokens are drawn as the worker draws them. What an image becomes follows from the published
resizing rule; its pixels are noise anyway, so a script draws them in the shape that the model gets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fuzz.errors import UsageProblem
from fuzz.repro.facts import Facts, geometry_of, tokens_of_tile
from strategies.case import Audio, Case, Image, Row, Text, Video
from strategies.geometry import estimated_grid

TILES = 4
"""Most tiles of an image that layers of cross attention see; only the first one is used here."""
TEXT, IMAGE, VIDEO = 0, 1, 2
"""Types of tokens."""


@dataclass(frozen=True, slots=True)
class Picture:
    """What an image or a video becomes.

    Attributes:
        shape: of its pixels as the model gets them.
        grid: (t, h, w) in patches, none where the family has no grids.
        cells: its placeholder tokens.
        seconds: that a temporal patch of a video spans.
    """

    shape: tuple[int, ...]
    grid: tuple[int, ...]
    cells: int
    seconds: float = 1.0


@dataclass(frozen=True, slots=True)
class Prompt:
    """One row before padding.

    Attributes:
        ids: token ids.
        pictures: what its images became.
        end: the token after the last image or video (what ends it included), 0 without any.
        films: what its videos became.
        types: 0 for text, 1 for an image's placeholder, 2 for a video's; one for each id.
        spans: of each image and video, in order: its first placeholder, and what follows its last.
        blocks: the same, with its markers and times.
    """

    ids: tuple[int, ...]
    pictures: tuple[Picture, ...] = ()
    end: int = 0
    films: tuple[Picture, ...] = ()
    types: tuple[int, ...] = ()
    spans: tuple[tuple[int, int], ...] = ()
    blocks: tuple[tuple[int, int], ...] = ()

    @property
    def visuals(self) -> tuple[Prompt, ...]:
        """A prompt for each image and video of this one, without the text around it."""
        pictures, films = iter(self.pictures), iter(self.films)
        found = []
        for (start, end), (first, _) in zip(self.blocks, self.spans, strict=True):
            ids, types = self.ids[start:end], self.types[start:end]
            span = ((0, len(ids)),)
            if self.types[first] == IMAGE:
                found.append(Prompt(ids, (next(pictures),), 0, (), types, span, span))
            else:
                found.append(Prompt(ids, (), 0, (next(films),), types, span, span))
        return tuple(found)


@dataclass(frozen=True, slots=True)
class Batch:
    """Prompts padded to one width.

    Attributes:
        prompts: the rows.
        ids: token ids, padding included.
        mask: one for each of them, 0 for padding.
        masked: whether the mask is passed.
        starts: column of each row's first token.
        types: of each token, 0 for padding.
    """

    prompts: tuple[Prompt, ...]
    ids: tuple[tuple[int, ...], ...]
    mask: tuple[tuple[int, ...], ...]
    masked: bool
    starts: tuple[int, ...]
    types: tuple[tuple[int, ...], ...] = ()

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
    def films(self) -> tuple[Picture, ...]:
        """What all videos became, in order."""
        return tuple(film for p in self.prompts for film in p.films)

    @property
    def seen(self) -> bool:
        """Whether there is any image or video."""
        return bool(self.pictures or self.films)

    @property
    def images_end(self) -> int:
        """First column after the last image or video, or 0."""
        pairs = zip(self.starts, self.prompts, strict=True)
        ends = [start + p.end for start, p in pairs if p.end]
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
        UsageProblem: it holds something that is not known here.
    """
    ids: list[int] = []
    types: list[int] = []
    pictures: list[Picture] = []
    films: list[Picture] = []
    spans: list[tuple[int, int]] = []
    blocks: list[tuple[int, int]] = []
    for number, segment in enumerate(row):
        if isinstance(segment, Text):
            own = np.random.default_rng(seed * 10_007 + number)
            drawn = own.integers(0, facts.limit, segment.tokens).tolist()
            if last and number == len(row) - 1 and drawn:
                drawn[-1] = (drawn[-1] + last) % facts.limit
            ids += drawn
            types += [TEXT] * segment.tokens
            continue
        more = 0 if spans else extra
        if isinstance(segment, Image):
            picture = picture_of(facts, segment)
            pictures.append(picture)
            count = picture.cells + more
            tokens = [*facts.marks[:1], *[facts.image] * count, *facts.marks[1:]]
            kinds = [TEXT] * len(facts.marks[:1]) + [IMAGE] * count + [TEXT] * len(facts.marks[1:])
        elif isinstance(segment, Audio):
            raise UsageProblem("audio is not supported in scripts")
        else:
            film = film_of(facts, segment)
            films.append(film)
            tokens, kinds = tokens_of(facts, film, more)
        places = [len(ids) + n for n, kind in enumerate(kinds) if kind != TEXT]
        spans.append((places[0], places[-1] + 1))
        blocks.append((len(ids), len(ids) + len(tokens)))
        ids += tokens
        types += kinds
    return Prompt(
        ids=tuple(ids),
        pictures=tuple(pictures),
        end=blocks[-1][1] if blocks else 0,
        films=tuple(films),
        types=tuple(types),
        spans=tuple(spans),
        blocks=tuple(blocks),
    )


def film_of(facts: Facts, video: Video) -> Picture:
    """Return what a video becomes.

    Raises:
        UsageProblem: the family takes none.
    """
    if not facts.family.video:
        raise UsageProblem(f"videos of {facts.family.name} are not supported in scripts")
    still = picture_of(facts, Image(video.width, video.height))
    geometry = geometry_of(facts.family)
    t = -(-video.frames // geometry.temporal_patch)
    _, h, w = still.grid
    return Picture((t * h * w, *still.shape[1:]), (t, h, w), t * still.cells, video.seconds)


def tokens_of(facts: Facts, film: Picture, extra: int = 0) -> tuple[list[int], list[int]]:
    """Return the tokens of a video as its family lays them out, and the type of each.

    Args:
        facts: of the family.
        film: the video.
        extra: placeholder tokens too many in its first block.
    """
    steps, start, end = film.grid[0], facts.marks[:1], facts.marks[1:]
    around = [TEXT]
    if facts.family.video == "block":
        count = film.cells + extra
        return [*start, *[facts.video] * count, *end], [*around, *[VIDEO] * count, *around]
    as_images = facts.family.video == "steps as images"
    placeholder = facts.image if as_images else facts.video
    ids: list[int] = []
    types: list[int] = []
    for n in range(steps):
        count = film.cells // steps + (extra if n == 0 else 0)
        # Two text tokens stand for a time.
        time = [int(n * film.seconds) % 10, int(10 * n * film.seconds) % 10]
        block, kinds = [*start, *[placeholder] * count, *end], [TEXT, *[VIDEO] * count, TEXT]
        ids += [*block, *time] if as_images else [*time, *block]
        types += [*kinds, TEXT, TEXT] if as_images else [TEXT, TEXT, *kinds]
    if as_images:
        return [facts.film[0], *ids, facts.film[1]], [TEXT, *types, TEXT]
    return ids, types


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
    if family.placing == "crossing":
        size = family.processor["size"]
        if image.width > size["width"] or image.height > size["height"]:
            raise UsageProblem("images of several tiles are not supported in scripts")
        return Picture((1, TILES, 3, size["height"], size["width"]), (), 1)
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
    ids, mask, starts, types = [], [], [], []
    for p in prompts:
        lack = width - len(p.ids)
        left = lack if side == "left" else 0
        starts.append(left)
        ids.append((facts.padding,) * left + p.ids + (facts.padding,) * (lack - left))
        mask.append((0,) * left + (1,) * len(p.ids) + (0,) * (lack - left))
        types.append((0,) * left + p.types + (0,) * (lack - left))
    masked = masked or any(0 in row for row in mask)
    return Batch(tuple(prompts), tuple(ids), tuple(mask), masked, tuple(starts), tuple(types))


def batch_of(facts: Facts, case: Case) -> Batch:
    """Draw the rows of a case and pad them as it says."""
    prompts = prompts_of(facts, case)
    width = max(len(p.ids) for p in prompts) + case.extra_padding
    return collate(facts, prompts, case.side, width, case.attention_mask)
