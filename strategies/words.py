"""A case in English, for people who have to act on it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from strategies.case import (
    DEFAULT,
    RATE,
    Audio,
    Case,
    Entry,
    How,
    Image,
    Row,
    Segment,
    Text,
    has_turn,
    media_of,
)
from strategies.validity import is_generate, may_be_padded

_CALLS: Final[dict[Entry, str]] = {
    "forward": "forward with explicit positions",
    "forward-implicit": "forward",
    "generate": "generate",
    "generate-embeds": "generate from embeddings",
}

_HOWS: Final[dict[How, str]] = {
    "greedy": "",
    "samples": ", two samples each",
    "beams": ", two of three beams each",
    "chunked": "",
    "lookup": ", guessed from the prompt",
    "assisted": ", guessed by an assistant",
}


def describe(case: Case) -> str:
    """Return the case in one line of English; equal cases give equal words.

    Only what differs from the default case is said, the prompts excepted.

    Args:
        case: the case to describe.
    """
    parts = [*_rows(case), *_padding(case), *_entry(case), *_cache(case), *_positions(case)]
    if case.extra_placeholders:
        few_or_many = "many" if case.extra_placeholders > 0 else "few"
        parts.append(
            f"{_count(abs(case.extra_placeholders), 'image placeholder')} too {few_or_many}"
        )
    parts += [f"after an earlier {_CALLS[c.entry]} of: {_row(c.row)}" for c in case.history]
    place = "second turn" if has_turn(case) else "last piece"
    parts += [f"before the {place}, a {_CALLS[c.entry]} of: {_row(c.row)}" for c in case.between]
    if case.gain != DEFAULT.gain:
        parts.append(f"weights at {case.gain:g} times unit gain")
    if case.seed != DEFAULT.seed:
        parts.append(f"seed {case.seed}")
    return "; ".join(parts)


def describe_image(image: Image, grid: tuple[int, ...], tokens: int) -> str:
    """Return what an image becomes, in words.

    Args:
        image: as the user hands it over.
        grid: (frames, rows, columns) in patches, none where the family has no grids.
        tokens: its placeholder tokens.
    """
    shape = f"grid {'x'.join(map(str, grid))}, " if grid else ""
    return f"image {image.width}x{image.height}: {shape}{_count(tokens, 'token')}"


def describe_audio(audio: Audio, tokens: int) -> str:
    """Return what a recording becomes, in words."""
    return f"{_segment(audio)}: {_count(tokens, 'token')}"


def _rows(case: Case) -> Iterator[str]:
    rows = case.rows
    if len(rows) == 1:
        yield _row(rows[0]) + ("" if media_of(rows[0]) else ", no image")
        return
    alike = len(set(rows)) == 1
    yield f"{_count(len(rows), 'row')}{' alike' if alike else ''}{_batch_padding(case)}"
    if alike:
        yield f"each row: {_row(rows[0])}"
    else:
        yield from (f"row {n}: {_row(row)}" for n, row in enumerate(rows, 1))


def _row(row: Row) -> str:
    return ", ".join(_segment(s) for s in row if s != Text(0)) or "nothing"


def _segment(segment: Segment) -> str:
    if isinstance(segment, Text):
        return _count(segment.tokens, "text token")
    if isinstance(segment, Audio):
        # Rounded, several lengths would read alike.
        seconds = segment.samples / RATE
        whole = segment.samples % (RATE // 1000)
        return f"audio of {segment.samples} samples" if whole else f"audio of {seconds:g} s"
    size = f"{segment.width}x{segment.height}"
    if isinstance(segment, Image):
        return f"image {size}"
    pace = "" if segment.seconds == 1.0 else f" ({segment.seconds:g} s a temporal patch)"
    return f"video of {_count(segment.frames, 'frame')} {size}{pace}"


def _batch_padding(case: Case) -> str:
    return f", {case.side}-padded" if may_be_padded(case.rows, case.extra_padding) else ""


def _padding(case: Case) -> Iterator[str]:
    columns = _count(case.extra_padding, "column")
    if case.extra_padding and len(case.rows) == 1:
        yield f"{case.side}-padded by {columns}"
    elif case.extra_padding:
        yield f"{columns} of padding more than needed"
    elif case.side != DEFAULT.side and not may_be_padded(case.rows, 0):
        yield f"padding side {case.side}, with nothing to pad"
    if not case.attention_mask:
        yield "no attention mask"


def _entry(case: Case) -> Iterator[str]:
    if case.entry == "forward-implicit":
        yield "positions left to the model"
    elif is_generate(case.entry):
        yield f"{_CALLS[case.entry]}, {_count(case.decode, 'new token')}{_HOWS[case.how]}"
    if has_turn(case):
        said: Row = (Text(case.turn),)
        said = said if case.turn_image is None else (case.turn_image, *said)
        yield f"then a second turn of {_row(said)}, from its cache"
    if case.mode == "train":
        yield "trained on its own tokens as labels"


def _cache(case: Case) -> Iterator[str]:
    if case.chunks and is_generate(case.entry):
        yield f"prefilled in chunks of {case.chunks[0]}"
    elif case.chunks:
        yield f"prefilled in chunks of {_listed([*map(str, case.chunks), 'the rest'])}"
    if case.decode and not is_generate(case.entry):
        yield "last token alone" if case.decode == 1 else f"last {case.decode} tokens one by one"
    if case.crop:
        yield f"{_count(case.crop, 'token')} fed and cropped away before the last piece"
    if case.cache == "own":
        yield "cache of the model's own making"
    elif case.cache != DEFAULT.cache:
        room = f" with room for {_count(case.cache_room, 'more token')}" if case.cache_room else ""
        yield f"{case.cache} cache{room}"


def _positions(case: Case) -> Iterator[str]:
    if case.offset:
        yield f"positions from {case.offset} on"
    if case.gap:
        yield f"positions jump by {case.gap} at token {case.gap_at}"


def _count(n: int, noun: str) -> str:
    """Say a number of things; 1 in letters, since it is what a minimized case is full of."""
    return f"one {noun}" if n == 1 else f"{n} {noun}s"


def _listed(items: Sequence[str]) -> str:
    return ", ".join(items[:-1]) + f" and {items[-1]}"
