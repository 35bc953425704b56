"""The rows of a batch: text, images, videos and audio, within a budget of tokens."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

from hypothesis import strategies as st

from strategies.audio import more_recordings, with_audio
from strategies.case import Image, Row, Segment, Text, media_of
from strategies.geometry import Geometry, estimated_tokens, halved
from strategies.image_sizes import image_sizes
from strategies.kinds import Demands
from strategies.prompt_lengths import DEFAULT_CAP, prompt_lengths
from strategies.videos import with_videos
from strategies.weighted import weighted

MAX_TOKENS: Final = 160
"""Longest row, in estimated tokens: a forward has to stay cheap."""
MAX_ROWS: Final = 3
MAX_IMAGES: Final = 4
"""Most images in one row."""
THIN: Final = 5
"""A shorter side may be taken for that of the channels: 1, 3 or 4."""
IMAGE_BUDGET: Final = 32
"""Most tokens of an image that is added since the property needs one more."""
_TEXT_AFTER_IMAGE: Final = 24
_RARELY: Final = weighted(0, 1, (0,))
_BOOLEANS: Final = st.booleans()
# One or two images in a row do for most of what can go wrong, and images are what a case costs. The
# loosest limit comes first: a draw shrinks to it, and what it allows shrinks by itself.
_MOST_IMAGES: Final = st.sampled_from((MAX_IMAGES, 1, 2, 2))


@dataclass(frozen=True, slots=True)
class Prompt:
    """What one row may hold.

    Attributes:
        text_only: whether the images and recordings that are drawn are left out again. They are
            drawn all the same, so that the shrinker can change the entry point and keep the text.
        images: most images; none, and no recording either.
        budget: most tokens, estimated.
        cap: most tokens of one run of text.
        thin: whether images may have sides below :data:`THIN` pixels.
    """

    text_only: bool = False
    images: int = MAX_IMAGES
    budget: int = MAX_TOKENS
    cap: int = DEFAULT_CAP
    thin: bool = True


@lru_cache(maxsize=2048)
@st.composite
def batches_of_rows(
    draw: st.DrawFn, geometry: Geometry, demands: Demands, prompt: Prompt
) -> tuple[Row, ...]:
    """Draw the rows of a batch, as many and as long as a property demands."""
    # What dies of the one thin image that most batches have hides what the others would show.
    prompt = replace(prompt, thin=not draw(_BOOLEANS))
    rows = draw(_lists_of_rows(geometry, demands.rows, prompt))
    if draw(_RARELY):
        # Rows of one length need no padding and so no mask: chance alone hardly draws them.
        rows = rows[:1] * len(rows)
    count = sum(len(media_of(row)) for row in rows)
    more = more_recordings if geometry.audio else _more_images
    for segment in draw(more(geometry, demands.images))[count:]:
        if not isinstance(segment, Image):
            rows.append((segment,))
            continue
        at = draw(st.integers(0, len(rows) - 1))
        rows[at] = (*rows[at], fitted(geometry, _drawn(prompt, segment), IMAGE_BUDGET))
    missing = demands.tokens - max(estimated_tokens(geometry, row) for row in rows)
    if missing > 0:
        rows = [_lengthened(row, missing) if row == rows[0] else row for row in rows]
    return with_videos(draw, geometry, tuple(rows), prompt.budget)


@lru_cache(maxsize=2048)
@st.composite
def prompt_rows(draw: st.DrawFn, geometry: Geometry, prompt: Prompt) -> Row:
    """Draw one prompt: text, then images, each with text after it; or text and recordings."""
    images: list[Image] = []
    texts: list[int] = []
    if geometry.images:
        # Two lists instead of one of pairs: Hypothesis deletes at most five choices in a row,
        # which is just an image and that there is one.
        most = min(prompt.images, draw(_MOST_IMAGES)) if prompt.images > 1 else prompt.images
        # Two fifths of the batches came out without any image by chance alone.
        least = min(most, draw(_RARELY))
        images = draw(_lists_of_images(geometry, least, most))
        texts = draw(_lists_of_texts(geometry, most, min(prompt.cap, _TEXT_AFTER_IMAGE)))
    if prompt.text_only:
        images = []
    first = draw(prompt_lengths(geometry, minimum=0 if images else 1, cap=prompt.cap))
    row: list[Segment] = [Text(first)] if first else []
    left = prompt.budget - first
    for n, size in enumerate(images):
        image = fitted(geometry, _drawn(prompt, size), left)
        needs = estimated_tokens(geometry, (image,))
        # The first image stays whatever it needs: some processors make much of the smallest.
        if needs > left and n:
            break
        row.append(image)
        left = max(0, left - needs)
        tokens = min(texts[n], left) if n < len(texts) else 0
        if tokens:
            row.append(Text(tokens))
            left -= tokens
    most = 0 if prompt.text_only else prompt.images
    return with_audio(draw, geometry, tuple(row), most, prompt.budget)


def _drawn(prompt: Prompt, image: Image) -> Image:
    if prompt.thin:
        return image
    return Image(max(image.width, THIN), max(image.height, THIN))


def _lengthened(row: Row, tokens: int) -> Row:
    """Add text tokens at the end of a row."""
    last = row[-1]
    if isinstance(last, Text):
        return (*row[:-1], Text(last.tokens + tokens))
    return (*row, Text(tokens))


def fitted(geometry: Geometry, image: Image, tokens: int) -> Image:
    """Halve an image until it needs no more than the tokens given, or cannot be smaller."""
    while estimated_tokens(geometry, (image,)) > tokens:
        smaller = Image(*halved(geometry, image.width, image.height))
        if smaller == image:
            break
        image = smaller
    return image


@lru_cache(maxsize=64)
def _lists_of_rows(geometry: Geometry, fewest: int, prompt: Prompt) -> st.SearchStrategy[list[Row]]:
    return st.lists(prompt_rows(geometry, prompt), min_size=fewest, max_size=MAX_ROWS)


@lru_cache(maxsize=64)
def _lists_of_images(geometry: Geometry, least: int, most: int) -> st.SearchStrategy[list[Image]]:
    return st.lists(image_sizes(geometry), min_size=least, max_size=most)


@lru_cache(maxsize=64)
def _more_images(geometry: Geometry, count: int) -> st.SearchStrategy[list[Segment]]:
    sizes: st.SearchStrategy[Segment] = image_sizes(geometry) if count else st.nothing()
    return st.lists(sizes, min_size=count, max_size=count)


@lru_cache(maxsize=64)
def _lists_of_texts(geometry: Geometry, most: int, cap: int) -> st.SearchStrategy[list[int]]:
    # As many as there can be images: where fewer were drawn, most prompts would end with an image.
    return st.lists(prompt_lengths(geometry, minimum=0, cap=cap), min_size=most, max_size=most)
