"""Whole cases: every axis of a Case drawn together, so that the axes fit each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal, TypeAlias, get_args

from hypothesis import strategies as st

from strategies.cache_positions import cache_positions
from strategies.case import (
    GAINS,
    Call,
    Case,
    Entry,
    Image,
    Mode,
    Row,
    Segment,
    Side,
    Text,
    images_of,
)
from strategies.generation import generations
from strategies.geometry import Geometry, estimated_cells, estimated_tokens
from strategies.image_sizes import image_sizes, invalid_image_sizes
from strategies.prompt_lengths import DEFAULT_CAP, prompt_lengths
from strategies.validity import is_generate, may_be_padded, trainable
from strategies.weighted import around, powers_of_two, weighted

Kind: TypeAlias = Literal[
    "any",
    "no_crash",
    "clean_rejection",
    "rotary_reference",
    "attention_agreement",
    "cache_agreement",
    "padding_invariance",
    "batch_invariance",
    "causality",
    "state_independence",
    "image_independence",
    "packing_invariance",
    "low_precision",
    "visibility",
    "generation_agreement",
]


@dataclass(frozen=True, slots=True)
class Demands:
    """What a case needs so that running it says something about a property.

    Attributes:
        valid: whether the target has to run the case (else it has to refuse it).
        rows: fewest rows.
        tokens: fewest tokens in the longest row.
        images: fewest images, in all rows together.
        extra_padding: fewest columns of extra padding.
        history: fewest earlier calls.
        fed_in_pieces: whether the sequence has to reach the cache in two pieces or more.
        forward_only: whether ``generate`` is of no use.
        plain: whether only the rows matter: the property decides how they are fed.
        stateful: whether calls that read what earlier ones left are of more use than others.
        trained: whether some of the cases are trained on.
        generated: whether all of them are generated from, in every way that there is.
        alike: whether no row may reach where rotation follows how far a prompt reaches: results of
            prompts of different reach are compared.
    """

    valid: bool = True
    rows: int = 1
    tokens: int = 1
    images: int = 0
    extra_padding: int = 0
    history: int = 0
    fed_in_pieces: bool = False
    forward_only: bool = False
    plain: bool = False
    stateful: bool = False
    trained: bool = False
    generated: bool = False
    alike: bool = False


KINDS: Final[Mapping[Kind, Demands]] = {
    "any": Demands(),
    "no_crash": Demands(),
    "clean_rejection": Demands(valid=False),
    "rotary_reference": Demands(),
    "attention_agreement": Demands(trained=True),
    "cache_agreement": Demands(tokens=2, fed_in_pieces=True, alike=True),
    "padding_invariance": Demands(extra_padding=1, alike=True),
    "batch_invariance": Demands(rows=2, alike=True),
    "causality": Demands(tokens=2, forward_only=True, alike=True),
    "state_independence": Demands(history=1, stateful=True, alike=True),
    "image_independence": Demands(images=2, plain=True),
    "packing_invariance": Demands(rows=2, plain=True, alike=True),
    "low_precision": Demands(forward_only=True),
    "visibility": Demands(tokens=2, plain=True),
    "generation_agreement": Demands(generated=True, alike=True),
}

MAX_TOKENS: Final = 160
"""Longest row, in estimated tokens: a forward has to stay cheap."""
MAX_ROWS: Final = 3
MAX_IMAGES: Final = 4
"""Most images in one row."""
_MAX_PADDING: Final = 5
_MAX_ROOM: Final = 4
_MAX_DECODE: Final = 3
_MAX_GENERATED: Final = 17
"""Most tokens that :func:`generations` adds to a row: padding, a second turn, and two answers."""
_MAX_HISTORY: Final = 2
_MAX_SEED: Final = 3
_MAX_EXTRA_PLACEHOLDERS: Final = 4
_HISTORY_TEXT: Final = 8
_IMAGE_BUDGET: Final = 32
"""Most tokens of an image that is added since the property needs one more."""
_TEXT_AFTER_IMAGE: Final = 24


@dataclass(frozen=True, slots=True)
class _Prompt:
    """What one row may hold.

    Attributes:
        text_only: whether the images that are drawn are left out again. They are drawn all the
            same, so that the shrinker can change the entry point and keep the text.
        images: most images.
        budget: most tokens, estimated.
        cap: most tokens of one run of text.
    """

    text_only: bool = False
    images: int = MAX_IMAGES
    budget: int = MAX_TOKENS
    cap: int = DEFAULT_CAP


# Each entry as often as its share of the draws; the simplest first, since draws shrink to it.
_FORWARD: Final[tuple[Entry, ...]] = ("forward",) * 3 + ("forward-implicit",) * 3
_WITH_IMAGES: Final[tuple[Entry, ...]] = (*_FORWARD, "generate", "generate")
_ALL: Final[tuple[Entry, ...]] = (*_WITH_IMAGES, "generate-embeds")
# Explicit positions are the one entry that reads no state.
_STATEFUL: Final[tuple[Entry, ...]] = (
    "forward",
    *("forward-implicit",) * 5,
    *("generate",) * 3,
    "generate-embeds",
)
_HISTORY: Final[tuple[Entry, ...]] = (
    *("forward-implicit",) * 3,
    "forward",
    "generate",
    "generate",
    "generate-embeds",
)

_FORWARD_ENTRIES: Final = st.sampled_from(_FORWARD)
_IMAGE_ENTRIES: Final = st.sampled_from(_WITH_IMAGES)
_ALL_ENTRIES: Final = st.sampled_from(_ALL)
_STATEFUL_ENTRIES: Final = st.sampled_from(_STATEFUL)
_HISTORY_ENTRIES: Final = st.sampled_from(_HISTORY)
_GAINS: Final = st.sampled_from(GAINS)
_SEEDS: Final = st.integers(0, _MAX_SEED)
_SIDES: Final[st.SearchStrategy[Side]] = st.sampled_from(("left", "right"))
# A quarter of all cases in the end: generate and rows of one token are not trained on.
_MODES: Final[st.SearchStrategy[Mode]] = st.sampled_from(("eval", "train"))
_BOOLEANS: Final = st.booleans()
_RARELY: Final = weighted(0, 1, (0,))
_ROOMS: Final = weighted(0, _MAX_ROOM, (0, 1))
_DECODES: Final = weighted(0, _MAX_DECODE, (0,))
# What has to be fed in pieces is fed most simply when its last token comes alone.
_PIECES: Final = st.sampled_from((1, 0, 0, 0, *range(2, _MAX_DECODE + 1)))

# The default value as a group of favourites: three quarters of the draws, or nearly, leave the
# axis alone. With all axes busy in every case, one that fails early would hide the others.
_MOSTLY_ZERO: Final = ((0,), (0,), (0,))


def kinds_for(geometry: Geometry) -> tuple[Kind, ...]:
    """Return the kinds that :func:`cases` can draw: without images, nothing is invalid."""

    def possible(demands: Demands) -> bool:
        return geometry.images or (demands.valid and not demands.images)

    kinds: tuple[Kind, ...] = get_args(Kind)
    return tuple(kind for kind in kinds if possible(KINDS[kind]))


def cases(geometry: Geometry, kind: Kind = "any") -> st.SearchStrategy[Case]:
    """Return a strategy for cases of a kind.

    Every case is well-formed, fulfils the :class:`Demands` of its kind, and is one that the
    target has to run (or, for ``clean_rejection``, to refuse). Shrinks to ``Case()``, or to what
    is closest to it within the kind.

    Args:
        geometry: the target's sizes and limits.
        kind: the id of the property that the case is for, or ``any``.

    Raises:
        ValueError: the kind is unknown, or is not one of :func:`kinds_for` the geometry.
    """
    if kind not in KINDS:
        raise ValueError(f"kind: expected one of {', '.join(KINDS)}, got {kind!r}")
    if kind not in kinds_for(geometry):
        raise ValueError(f"kind {kind!r} needs a target that takes images")
    demands = KINDS[kind]
    if demands.generated:
        budget = min(MAX_TOKENS // 2, _budget(geometry, demands))
        prompt = _Prompt(budget=budget, cap=min(DEFAULT_CAP, budget))
        prompts = _batches(geometry, demands, prompt)
        return generations(prompts, geometry)
    return _valid(geometry, demands) if demands.valid else _invalid(geometry)


@st.composite
def _valid(draw: st.DrawFn, geometry: Geometry, demands: Demands) -> Case:
    # Every choice is made whether it is of use or not, and what is of no use is put back to its
    # default: the shrinker can then change one choice without shifting all that follow.
    entries = _STATEFUL_ENTRIES if demands.stateful else _ALL_ENTRIES
    entry = _possible(geometry, draw(_FORWARD_ENTRIES if demands.forward_only else entries))
    least = demands.extra_padding
    padding = draw(weighted(least, _MAX_PADDING, (least,), (least,), (least,), (1,)))
    gain = draw(_GAINS)
    seed = draw(_SEEDS)
    if demands.plain:
        budget = _budget(geometry, demands) - demands.images * _IMAGE_BUDGET
        prompt = _Prompt(budget=budget, cap=min(DEFAULT_CAP, budget))
        rows = draw(_batches(geometry, demands, prompt))
        return Case(rows=rows, gain=gain, seed=seed)
    static = draw(_RARELY)
    room = draw(_ROOMS)
    side = draw(_SIDES)
    mask = not draw(_BOOLEANS)
    # What earlier calls left is read where one prompt is continued without a mask and without
    # positions: half of the cases are of that form, half of those without an image of their own
    # to replace it.
    single, plain = demands.stateful and draw(_BOOLEANS), demands.stateful and draw(_BOOLEANS)
    if single:
        entry = "forward-implicit"
    budget = _budget(geometry, demands)
    text_only = plain or entry == "generate-embeds"
    prompt = _Prompt(text_only=text_only, budget=budget, cap=min(DEFAULT_CAP, budget))
    rows = draw(_batches(geometry, demands, prompt))
    if single:
        rows, padding, mask = rows[:1], 0, False
    columns = max(estimated_tokens(geometry, row) for row in rows) + padding
    padded = may_be_padded(rows, padding)
    fed_on = demands.fed_in_pieces and entry == "forward-implicit"
    if not padded or is_generate(entry) or fed_on:
        side = "left"
    decode, chunks = draw(_feedings(columns, demands.fed_in_pieces or (single and columns > 1)))
    if is_generate(entry):
        decode, chunks = max(1, decode), ()
    elif entry == "forward-implicit" and side == "right":
        decode, chunks = 0, ()
    offset, gap, gap_at = draw(_shifts(geometry, columns))
    if entry != "forward":
        offset = 0
    if geometry.alike_up_to and demands.alike:
        offset = min(offset, geometry.alike_up_to - columns)
    if entry != "forward" or geometry.one_axis:
        # Where positions have one axis, a jump means that another sequence begins there.
        gap, gap_at = 0, 0
    history: list[Call] = []
    if draw(_RARELY) or demands.history:
        history = draw(_lists_of_calls(geometry, demands.history))
    mode: Mode = draw(_MODES) if demands.trained else "eval"
    if is_generate(entry) or not trainable(rows):
        mode = "eval"
    if mode == "train":
        decode, chunks, static, history = 0, (), 0, []
    return Case(
        rows=rows,
        side=side,
        extra_padding=padding,
        entry=entry,
        mode=mode,
        attention_mask=mask or padded,
        cache="static" if static else "dynamic",
        cache_room=room if static else 0,
        chunks=chunks,
        decode=decode,
        offset=offset,
        gap=gap,
        gap_at=gap_at,
        history=tuple(history),
        gain=gain,
        seed=seed,
    )


def _budget(geometry: Geometry, demands: Demands) -> int:
    """Return the most tokens of a row: what is added to it must not reach too far either."""
    if not (demands.alike and geometry.alike_up_to):
        return MAX_TOKENS
    added = _MAX_GENERATED if demands.generated else _MAX_PADDING + _MAX_DECODE
    return min(MAX_TOKENS, geometry.alike_up_to - added)


def _possible(geometry: Geometry, entry: Entry) -> Entry:
    """Return the entry, or plain generate where a model does not generate from embeddings."""
    lacks = entry == "generate-embeds" and not geometry.takes_embeddings
    return "generate" if lacks else entry


@st.composite
def _invalid(draw: st.DrawFn, geometry: Geometry) -> Case:
    """Draw a case with one flaw and little else: what refuses it runs before anything else."""
    entry = draw(_IMAGE_ENTRIES)
    # Half of the budget, so that the image that follows fits into the rest.
    prompt = _Prompt(images=MAX_IMAGES - 1, budget=MAX_TOKENS // 2)
    rows = list(draw(_batches(geometry, Demands(), prompt)))
    wrong_size = not draw(_BOOLEANS)
    image = draw(invalid_image_sizes(geometry) if wrong_size else image_sizes(geometry))
    at = draw(st.integers(0, len(rows) - 1))
    row = rows[at]
    place = draw(st.integers(0, len(row)))
    if not wrong_size:
        image = _fitted(geometry, image, MAX_TOKENS - estimated_tokens(geometry, row))
    rows[at] = (*row[:place], image, *row[place:])
    extra = 0
    if not wrong_size:
        cells = min(estimated_cells(geometry, i) for row in rows for i in images_of(row))
        extra = draw(_extra_placeholders(cells))
    padding = draw(weighted(0, _MAX_PADDING, (0,), (0,), (1,)))
    padded = may_be_padded(tuple(rows), padding)
    return Case(
        rows=tuple(rows),
        entry=entry,
        extra_padding=padding,
        side="right" if padded and entry in _FORWARD and draw(_BOOLEANS) else "left",
        decode=1 if is_generate(entry) else 0,
        extra_placeholders=extra,
    )


def _extra_placeholders(cells: int) -> st.SearchStrategy[int]:
    """Draw a number that is not 0 and takes away at most what the smallest image has.

    The last placeholder stays where the estimate allows it: an image without any is a case of
    its own, kept for images of one cell.
    """
    fewest = -max(1, cells - 1)
    counts = (sign * n for n in range(1, _MAX_EXTRA_PLACEHOLDERS + 1) for sign in (1, -1))
    return st.sampled_from([n for n in counts if n >= fewest])


@lru_cache(maxsize=64)
def _lists_of_rows(
    geometry: Geometry, fewest: int, prompt: _Prompt
) -> st.SearchStrategy[list[Row]]:
    return st.lists(_rows(geometry, prompt), min_size=fewest, max_size=MAX_ROWS)


@lru_cache(maxsize=64)
def _lists_of_images(geometry: Geometry, most: int) -> st.SearchStrategy[list[Image]]:
    return st.lists(image_sizes(geometry), max_size=most)


@lru_cache(maxsize=64)
def _more_images(geometry: Geometry, count: int) -> st.SearchStrategy[list[Image]]:
    sizes = image_sizes(geometry) if count else st.nothing()
    return st.lists(sizes, min_size=count, max_size=count)


@lru_cache(maxsize=64)
def _lists_of_texts(geometry: Geometry, most: int, cap: int) -> st.SearchStrategy[list[int]]:
    return st.lists(prompt_lengths(geometry, minimum=0, cap=cap), max_size=most)


@lru_cache(maxsize=64)
def _lists_of_calls(geometry: Geometry, fewest: int) -> st.SearchStrategy[list[Call]]:
    return st.lists(_calls(geometry), min_size=fewest, max_size=_MAX_HISTORY)


@st.composite
def _batches(
    draw: st.DrawFn, geometry: Geometry, demands: Demands, prompt: _Prompt
) -> tuple[Row, ...]:
    rows = draw(_lists_of_rows(geometry, demands.rows, prompt))
    if draw(_RARELY):
        # Rows of one length need no padding and so no mask: chance alone hardly draws them.
        rows = rows[:1] * len(rows)
    count = sum(len(images_of(row)) for row in rows)
    for image in draw(_more_images(geometry, demands.images))[count:]:
        at = draw(st.integers(0, len(rows) - 1))
        rows[at] = (*rows[at], _fitted(geometry, image, _IMAGE_BUDGET))
    missing = demands.tokens - max(estimated_tokens(geometry, row) for row in rows)
    if missing > 0:
        rows = [_lengthened(row, missing) if row == rows[0] else row for row in rows]
    return tuple(rows)


@st.composite
def _rows(draw: st.DrawFn, geometry: Geometry, prompt: _Prompt) -> Row:
    """Draw one prompt: text, then images, each with text after it."""
    images: list[Image] = []
    texts: list[int] = []
    if geometry.images:
        # Two lists instead of one of pairs: Hypothesis deletes at most five choices in a row,
        # which is just an image and that there is one.
        images = draw(_lists_of_images(geometry, prompt.images))
        texts = draw(_lists_of_texts(geometry, prompt.images, min(prompt.cap, _TEXT_AFTER_IMAGE)))
    if prompt.text_only:
        images = []
    first = draw(prompt_lengths(geometry, minimum=0 if images else 1, cap=prompt.cap))
    row: list[Segment] = [Text(first)] if first else []
    left = prompt.budget - first
    for n, size in enumerate(images):
        image = _fitted(geometry, size, left)
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
    return tuple(row)


def _lengthened(row: Row, tokens: int) -> Row:
    """Add text tokens at the end of a row."""
    last = row[-1]
    if isinstance(last, Text):
        return (*row[:-1], Text(last.tokens + tokens))
    return (*row, Text(tokens))


def _fitted(geometry: Geometry, image: Image, tokens: int) -> Image:
    """Halve an image until it needs no more than the tokens given, or cannot be smaller."""
    while estimated_tokens(geometry, (image,)) > tokens and (image.width, image.height) != (1, 1):
        image = Image(-(-image.width // 2), -(-image.height // 2))
    return image


def _history_cap(geometry: Geometry) -> int:
    # Where rotation follows how far a prompt reaches, an earlier one has to reach there.
    return geometry.alike_up_to + _HISTORY_TEXT if geometry.alike_up_to else _HISTORY_TEXT


@st.composite
def _calls(draw: st.DrawFn, geometry: Geometry) -> Call:
    entry = _possible(geometry, draw(_HISTORY_ENTRIES))
    prompt = _Prompt(text_only=entry == "generate-embeds", images=1, cap=_history_cap(geometry))
    return Call(draw(_rows(geometry, prompt)), entry)


@st.composite
def _feedings(draw: st.DrawFn, columns: int, in_pieces: bool) -> tuple[int, tuple[int, ...]]:
    """Draw (decode, chunks): how the columns reach the cache.

    At least one column remains for the rest of the prefill.
    """
    decode = min(draw(_PIECES if in_pieces else _DECODES), columns - 1)
    minimum = int(in_pieces and not decode)
    chunks = draw(cache_positions(max(2, columns - decode), minimum=minimum))
    return decode, chunks if columns - decode > 1 else ()


@st.composite
def _shifts(draw: st.DrawFn, geometry: Geometry, columns: int) -> tuple[int, int, int]:
    """Draw (offset, gap, gap_at) for explicit positions."""
    far = _distances(geometry, columns)
    offset = draw(far)
    # A gap at the first column would be an offset under another name.
    last = max(1, columns - 1)
    gap, gap_at = draw(far), draw(weighted(1, last, (1, columns // 2, last)))
    return (offset, gap, gap_at) if gap and columns > 1 else (offset, 0, 0)


@lru_cache(maxsize=2048)
def _distances(geometry: Geometry, columns: int) -> st.SearchStrategy[int]:
    limit = geometry.max_positions
    high = max(100_000, 2 * limit)
    return weighted(
        0,
        high,
        *_MOSTLY_ZERO,
        (1, *powers_of_two(high)),
        (100_000,),
        (max(0, limit - columns), *around((limit,)), 2 * limit),
    )
