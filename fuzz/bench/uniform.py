"""A baseline: cases drawn evenly from the ranges that the strategies cover, no place preferred."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from strategies.cache_positions import MAX_CHUNKS
from strategies.case import (
    ENTRIES,
    GAINS,
    GUESSING,
    HOWS,
    Call,
    Case,
    Image,
    Row,
    Segment,
    Text,
    images_of,
    to_json,
)
from strategies.geometry import Geometry, accepts_size, estimated_tokens
from strategies.image_sizes import MAX_AREA, MAX_SIDE
from strategies.kinds import KINDS, Demands, Kind
from strategies.prompt_lengths import DEFAULT_CAP
from strategies.rows import MAX_IMAGES, MAX_ROWS, MAX_TOKENS, fitted
from strategies.validity import is_generate, may_be_padded, problems, refusals, trainable

# The ends of the ranges in strategies/cases.py and strategies/generation.py.
MAX_PADDING: Final = 5
MAX_ROOM: Final = 4
MAX_DECODE: Final = 3
MAX_HISTORY: Final = 2
MAX_SEED: Final = 3
MAX_EXTRA: Final = 4
MAX_NEW: Final = 4
MAX_TURN: Final = 6
MAX_AFTER_IMAGE: Final = 24
MAX_EARLIER_TEXT: Final = 8
FARTHEST: Final = 100_000
_ATTEMPTS: Final = 20
_ADDED: Final = 17
"""Most tokens that are added to a row: padding, decoding, a second turn, and two answers."""


def uniform(geometry: Geometry, kind: Kind, of: int) -> Iterator[Case]:
    """Yield different cases without end, each number drawn evenly from its whole range.

    They fulfil what the strategies' cases of the kind fulfil: well-formed, such as the target has
    to run (or, for ``clean_rejection``, to refuse), and of use to the property.

    Args:
        geometry: the target's sizes.
        kind: the property that the cases are for.
        of: the seed.
    """
    rng, demands = random.Random(of), KINDS[kind]
    seen: set[str] = set()
    while True:
        case = _drawn(rng, geometry, demands)
        text = to_json(case)
        if text in seen or problems(case) or bool(refusals(case, geometry)) is demands.valid:
            continue
        seen.add(text)
        yield case


def _drawn(rng: random.Random, geometry: Geometry, demands: Demands) -> Case:
    if not demands.valid:
        return _invalid(rng, geometry)
    entry = rng.choice(ENTRIES[:2] if demands.forward_only else ENTRIES)
    if entry == "generate-embeds" and not geometry.takes_embeddings:
        entry = "generate"
    text_only = entry == "generate-embeds" and not demands.plain
    rows = _batch(rng, geometry, demands, text_only)
    case = Case(rows=rows, gain=rng.choice(GAINS), seed=rng.randint(0, MAX_SEED))
    if demands.plain:
        return case
    padding = rng.randint(demands.extra_padding, MAX_PADDING)
    padded = may_be_padded(rows, padding)
    case = replace(case, extra_padding=padding, attention_mask=padded or rng.random() < 0.5)
    if demands.generated:
        return _generating(rng, geometry, case)
    static = rng.random() < 0.5 and "static" not in geometry.lacks
    columns = max(estimated_tokens(geometry, row) for row in rows) + padding
    decode, chunks = _feeding(rng, columns, demands.fed_in_pieces)
    case = replace(
        case,
        entry=entry,
        side=rng.choice(("left", "right")) if padded and not is_generate(entry) else "left",
        cache="static" if static else "dynamic",
        cache_room=rng.randint(0, MAX_ROOM) if static else 0,
        decode=decode,
        chunks=chunks,
        history=_history(rng, geometry, demands),
    )
    if is_generate(entry):
        return replace(case, decode=max(1, decode), chunks=())
    if entry == "forward-implicit" and case.side == "right":
        # Such a batch is not fed on.
        if demands.fed_in_pieces:
            case = replace(case, side="left")
        else:
            case = replace(case, decode=0, chunks=())
    if entry == "forward":
        case = _shifted(rng, geometry, case, columns, demands.alike)
    if demands.trained and trainable(rows) and rng.random() < 0.5:
        case = replace(case, mode="train", cache="dynamic", cache_room=0, history=())
        case = replace(case, decode=0, chunks=())
    return case


def _batch(
    rng: random.Random, geometry: Geometry, demands: Demands, text_only: bool
) -> tuple[Row, ...]:
    budget = MAX_TOKENS // 2 if demands.generated else MAX_TOKENS
    if demands.alike and geometry.alike_up_to:
        budget = min(budget, geometry.alike_up_to - _ADDED)
    while True:
        count = rng.randint(demands.rows, MAX_ROWS)
        rows = tuple(_row(rng, geometry, budget, MAX_IMAGES, text_only) for _ in range(count))
        longest = max(estimated_tokens(geometry, row) for row in rows)
        if sum(len(images_of(row)) for row in rows) >= demands.images and longest >= demands.tokens:
            return rows


def _row(
    rng: random.Random,
    geometry: Geometry,
    budget: int,
    most: int,
    text_only: bool,
    cap: int = DEFAULT_CAP,
) -> Row:
    """Draw one prompt: text, then images, each with text after it; drawn again while too long.

    Where no draw fits, images are halved until they do, as the strategies do it.
    """
    cap = min(cap, budget)
    images = 0 if text_only or not geometry.images else rng.randint(0, most)
    for attempt in itertools.count(1):
        share = budget // (images + 1) if attempt > _ATTEMPTS else budget
        first = rng.randint(0 if images else 1, min(cap, share))
        row: list[Segment] = [Text(first)] if first else []
        for _ in range(images):
            after = rng.randint(0, min(cap, MAX_AFTER_IMAGE, share // 4))
            image = fitted(geometry, _image(rng, geometry), 3 * share // 4)
            row += [image, *([Text(after)] if after else [])]
        if estimated_tokens(geometry, tuple(row)) <= budget or attempt > 2 * _ATTEMPTS:
            break
    return tuple(row)


def _image(rng: random.Random, geometry: Geometry) -> Image:
    while True:
        image = Image(rng.randint(1, MAX_SIDE), rng.randint(1, MAX_SIDE))
        if image.width * image.height <= MAX_AREA and accepts_size(geometry, image):
            return image


def _feeding(rng: random.Random, columns: int, in_pieces: bool) -> tuple[int, tuple[int, ...]]:
    while True:
        decode = min(rng.randint(0, MAX_DECODE), columns - 1)
        left = columns - decode - 1
        chunks: list[int] = []
        for _ in range(rng.randint(0, MAX_CHUNKS)):
            if left > sum(chunks):
                chunks.append(rng.randint(1, left - sum(chunks)))
        if decode or chunks or not in_pieces or columns < 2:
            return decode, tuple(chunks)


def _shifted(rng: random.Random, geometry: Geometry, case: Case, columns: int, alike: bool) -> Case:
    far = max(FARTHEST, 2 * geometry.max_positions)
    if alike and geometry.alike_up_to:
        far = max(0, geometry.alike_up_to - columns)
    case = replace(case, offset=rng.randint(0, far))
    if geometry.one_axis or columns < 2:
        return case
    return replace(case, gap=rng.randint(1, far), gap_at=rng.randint(1, columns - 1))


def _history(rng: random.Random, geometry: Geometry, demands: Demands) -> tuple[Call, ...]:
    calls = []
    for _ in range(rng.randint(demands.history, MAX_HISTORY)):
        entry = rng.choice(ENTRIES)
        if entry == "generate-embeds" and not geometry.takes_embeddings:
            entry = "generate"
        cap = MAX_EARLIER_TEXT + geometry.alike_up_to
        row = _row(rng, geometry, MAX_TOKENS, 1, entry == "generate-embeds", cap)
        calls.append(Call(row, entry))
    return tuple(calls)


def _generating(rng: random.Random, geometry: Geometry, case: Case) -> Case:
    how = rng.choice([h for h in HOWS if h != "assisted" or "crop" not in geometry.lacks])
    turn = rng.randint(0, MAX_TURN) if how == "greedy" else 0
    case = replace(case, entry="generate", how=how, turn=turn, decode=rng.randint(1, MAX_NEW))
    if turn and geometry.images and "turn_image" not in geometry.lacks and rng.random() < 0.5:
        case = replace(case, turn_image=_image(rng, geometry))
    if how in GUESSING or turn:
        case = replace(case, rows=case.rows[:1], extra_padding=0)
    longest = max(estimated_tokens(geometry, row) for row in case.rows)
    if how == "chunked":
        case = replace(case, chunks=(rng.randint(1, longest + 1),))
    plain = how == "greedy" and not turn and geometry.takes_embeddings
    if plain and not any(images_of(row) for row in case.rows):
        case = replace(case, entry="generate-embeds")
    return case


def _invalid(rng: random.Random, geometry: Geometry) -> Case:
    """Draw a case with one flaw: an image of a size to be refused, or placeholders that do not fit.

    Of images without pixels and of ones too elongated one is as likely as the other: among all
    sizes there is hardly any of the first kind.
    """
    entry = rng.choice(ENTRIES[:3])
    rows = list(_batch(rng, geometry, Demands(), text_only=False))
    at = rng.randrange(len(rows))
    wrong_size = rng.random() < 0.5
    image = _image(rng, geometry)
    if wrong_size:
        short, long = rng.randint(0, MAX_SIDE // geometry.max_aspect), rng.randint(1, MAX_SIDE)
        if rng.random() < 0.5 or not geometry.aspect_refused:
            short = 0
        image = Image(*rng.sample((short, long), 2))
    rows[at] = (*rows[at], image)
    padding = rng.randint(0, MAX_PADDING)
    padded = may_be_padded(tuple(rows), padding)
    extra = rng.choice([n for n in range(-MAX_EXTRA, MAX_EXTRA + 1) if n])
    return Case(
        rows=tuple(rows),
        entry=entry,
        extra_padding=padding,
        side="right" if padded and not is_generate(entry) and rng.random() < 0.5 else "left",
        decode=1 if is_generate(entry) else 0,
        extra_placeholders=0 if wrong_size else extra,
    )
