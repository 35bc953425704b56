"""Simpler cases than a given one: the steps of a minimization that ends at a local minimum."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import chain, pairwise
from math import isqrt
from typing import Any, Final, TypeAlias

from strategies.case import (
    CACHE_KINDS,
    DEFAULT,
    ENTRIES,
    GAINS,
    HOWS,
    TICK,
    Audio,
    Call,
    Case,
    Image,
    Row,
    Segment,
    Text,
    Video,
    visuals_of,
)
from strategies.geometry import Geometry
from strategies.validity import is_generate, problems, refusals

Size: TypeAlias = tuple[Any, ...]

# An earlier call is simplest when it is made the way Call() makes it.
_HISTORY_ENTRIES: Final = tuple(sorted(ENTRIES, key=lambda e: (e != Call(()).entry, e)))

_TEXT_FOR_IMAGE: Final = (1, 2, 3, 4, 8, 16)

DEFAULT_SECONDS: Final = Video(1, 1, 1).seconds

_SMALL_ROWS: Final[tuple[Row, ...]] = (
    (Text(1),),
    (Text(2),),
    (Image(1, 1),),
    (Image(1, 1), Text(1)),
    (Image(1, 1), Text(2)),
)


def simpler(case: Case, geometry: Geometry | None = None) -> Iterator[Case]:
    """Yield every one-step simplification of a case that is worth trying, most drastic first.

    Each one is smaller by :func:`size_of`, so taking any of them again and again comes to an
    end; none is yielded twice. Each one is well-formed, unless the case itself is not.

    Args:
        case: the case to simplify.
        geometry: the target's sizes and limits. With it, a case that the target has to run stays
            one, and one that it has to refuse stays one; without it, an image may become too
            elongated.
    """
    size = size_of(case)
    ill_formed = bool(problems(case))
    refused = geometry is not None and bool(refusals(case, geometry))
    seen = set()
    for candidate in chain((DEFAULT, *_thin(case, geometry)), _candidates(case)):
        if candidate in seen or size_of(candidate) >= size:
            continue
        seen.add(candidate)
        if problems(candidate) and not ill_formed:
            continue
        if geometry is None or bool(refusals(candidate, geometry)) == refused:
            yield candidate


def size_of(case: Case) -> Size:
    """Return what cases are ordered by: a smaller tuple is a simpler case.

    Fewer earlier calls come first, then fewer rows, images and the like, videos, pixels, samples
    and text tokens, then the other axes by their distance from the default. Different cases have
    different sizes, and there is no endless descent.

    Args:
        case: the case to measure.
    """
    calls = (*case.history, *case.between)
    rows = (*case.rows, *(call.row for call in calls))
    segments = [segment for row in rows for segment in row]
    audio = [s.samples for s in segments if isinstance(s, Audio)]
    visuals = [s for s in segments if isinstance(s, (Image, Video))]
    if case.turn_image is not None:
        visuals.append(case.turn_image)
    videos = [s for s in segments if isinstance(s, Video)]
    return (
        len(calls),
        len(case.rows),
        len(visuals) + len(audio),
        len(videos),
        case.extra_padding,
        sum(v.frames for v in videos),
        sum(i.width * i.height for i in visuals),
        sum(i.width + i.height for i in visuals),
        sum(v.seconds != DEFAULT_SECONDS for v in videos),
        sum(v.seconds for v in videos),
        sum(audio),
        sum(s.tokens for s in segments if isinstance(s, Text)),
        len(segments),
        abs(case.extra_placeholders),
        case.extra_placeholders < 0,
        ENTRIES.index(case.entry),
        HOWS.index(case.how),
        case.turn,
        case.turn_image is not None,
        case.mode != DEFAULT.mode,
        [_HISTORY_ENTRIES.index(call.entry) for call in calls],
        len(case.between),
        case.crop,
        len(case.chunks),
        case.decode,
        sum(case.chunks),
        CACHE_KINDS.index(case.cache),
        case.cache_room,
        case.gap,
        case.gap_at,
        case.offset,
        case.side != DEFAULT.side,
        case.attention_mask != DEFAULT.attention_mask,
        GAINS.index(case.gain) if case.gain in GAINS else len(GAINS),
        case.gain,
        case.seed,
        # Nothing is simpler about these: they only tell apart what is equal in all of the above.
        case.chunks,
        [[_measures(s) for s in r] for r in rows],
        _measures(case.turn_image) if case.turn_image is not None else (),
    )


def _measures(segment: Segment) -> tuple[float, ...]:
    match segment:
        case Text(tokens):
            return (tokens,)
        case Image(width, height):
            return (width, height)
        case Video(frames, width, height, seconds):
            return (width, height, frames, seconds)
        case Audio(samples):
            return (samples,)


def _thin(case: Case, geometry: Geometry | None) -> Iterator[Case]:
    """Go to the smallest image with a grid of one row, and nothing else.

    It has as many positions as tokens, which a square one has not: many failures that other axes
    bring about too need only that, and from such an axis no smaller step leads to it.
    """
    if geometry is None or not geometry.images or not any(map(visuals_of, case.rows)):
        return
    # The processor makes at least so many cells of an image: a row of them takes their shape.
    cells = -(-geometry.min_pixels // geometry.cell**2)
    short = max(1, geometry.min_side)
    yield replace(DEFAULT, rows=((Image(cells * short, short),),))


def _candidates(case: Case) -> Iterator[Case]:
    yield from _jumps(case)
    if case.history:
        yield replace(case, history=())
    if case.between:
        yield replace(case, between=())
    yield from (replace(case, between=_without(case.between, i)) for i in _places(case.between))
    yield from (replace(case, history=_without(case.history, i)) for i in _places(case.history))
    for i, call in enumerate(case.history):
        # What fails may be the earlier call itself, or need only what it holds.
        alone = replace(DEFAULT, rows=(call.row,), entry=call.entry, gain=case.gain, seed=case.seed)
        yield replace(alone, decode=1) if is_generate(call.entry) else alone
        with_it = (call.row + case.rows[0], *case.rows[1:])
        yield replace(case, rows=with_it, history=_without(case.history, i))
    yield from (replace(case, rows=(row,)) for row in case.rows)
    # A row may matter only because another one is longer and makes padding.
    padding = max(1, case.extra_padding)
    yield from (replace(case, rows=(row,), extra_padding=padding) for row in case.rows)
    yield from (replace(case, rows=_without(case.rows, i)) for i in _places(case.rows))
    for i in range(len(case.rows) - 1):
        # Images or tokens that have to be two may also be in one row.
        joined = case.rows[i] + case.rows[i + 1]
        yield replace(case, rows=(*case.rows[:i], joined, *case.rows[i + 2 :]))
    # Before the segments: a row may have to be long only because of where it is cut.
    yield from _with_defaults(case)
    yield from _with_other_feeding(case)
    yield from _with_other_numbers(case)
    yield from _with_other_rows(case, _shorter_rows)
    for other in _with_other_calls(case.history):
        yield replace(case, history=other)
    for other in _with_other_calls(case.between):
        yield replace(case, between=other)
    yield from _with_other_rows(case, _rows_of_smaller_parts)
    if case.turn_image is not None:
        for segment in _smaller_segments(case.turn_image):
            if isinstance(segment, Image):
                yield replace(case, turn_image=segment)


def _jumps(case: Case) -> Iterator[Case]:
    """Go to the smallest batches at once: most failures need no more, however large they began.

    Lengths of rows and of chunks are tied to each other (a chunk as long as its sequence splits
    nothing), so both are made small in one step.
    """
    for row in _SMALL_ROWS:
        for rows in ((row,), (row, (Text(1),))):
            if len(rows) > len(case.rows):
                continue
            yield replace(case, rows=rows, chunks=case.chunks[:1] and (1,))
            if case.chunks:
                yield replace(case, rows=rows, chunks=(), decode=1)


def _with_defaults(case: Case) -> Iterator[Case]:
    """Put whole axes back to their default."""
    yield replace(case, mode=DEFAULT.mode)
    least = 1 if is_generate(case.entry) else 0
    yield replace(case, chunks=(), decode=least)
    if case.chunks:
        # A last token by itself is a simpler split than one in the middle.
        yield replace(case, chunks=(), decode=1)
    # To be fed in pieces, a sequence needs no more than its last token to come alone.
    yield replace(case, chunks=(), decode=1)
    yield replace(case, chunks=())
    yield replace(case, decode=least)
    yield replace(case, crop=0)
    for kind in CACHE_KINDS[: CACHE_KINDS.index(case.cache)]:
        yield replace(case, cache=kind, cache_room=0)
    yield replace(case, cache_room=0)
    yield replace(case, offset=0, gap=0, gap_at=0)
    yield replace(case, gap=0, gap_at=0)
    yield replace(case, offset=0)
    yield replace(case, how=DEFAULT.how, turn=0, turn_image=None)
    yield replace(case, how=DEFAULT.how, turn=0, turn_image=None, chunks=())
    if case.turn_image is not None:
        yield from (replace(case, turn=n, turn_image=None) for n in (case.turn, *_TEXT_FOR_IMAGE))
    for how in HOWS[: HOWS.index(case.how)]:
        yield replace(case, how=how)
        yield replace(case, how=how, chunks=())
    chunks = () if is_generate(case.entry) else case.chunks
    plain = replace(case, how=DEFAULT.how, turn=0, turn_image=None, chunks=chunks)
    for entry in ENTRIES[: ENTRIES.index(case.entry)]:
        yield replace(plain, entry=entry)
        yield replace(plain, entry=entry, decode=0)
    yield replace(case, extra_padding=0, side=DEFAULT.side)
    yield replace(case, extra_padding=0)
    # Padding may matter only by making the batch wider.
    for i, row in enumerate(case.rows):
        wider = (*row, Text(case.extra_padding))
        if row and isinstance(row[-1], Text):
            wider = (*row[:-1], Text(row[-1].tokens + case.extra_padding))
        yield replace(case, rows=(*case.rows[:i], wider, *case.rows[i + 1 :]), extra_padding=0)
    yield replace(case, side=DEFAULT.side)
    yield replace(case, attention_mask=DEFAULT.attention_mask)
    yield from (replace(case, gain=gain) for gain in GAINS)
    yield replace(case, seed=DEFAULT.seed)


def _with_other_feeding(case: Case) -> Iterator[Case]:
    """Take chunks out, join them or shorten them."""
    chunks = case.chunks
    for i, n in enumerate(chunks):
        yield replace(case, chunks=_without(chunks, i))
        if i:
            yield replace(case, chunks=(*chunks[: i - 1], chunks[i - 1] + n, *chunks[i + 1 :]))
        for less in _below(n, 1):
            yield replace(case, chunks=(*chunks[:i], less, *chunks[i + 1 :]))


def _with_other_numbers(case: Case) -> Iterator[Case]:
    """Lower one number, by much first."""
    yield from (replace(case, decode=n) for n in _below(case.decode, 0))
    yield from (replace(case, crop=n) for n in _below(case.crop, 0))
    yield from (replace(case, turn=n) for n in _below(case.turn, case.turn_image is None))
    yield from (replace(case, extra_padding=n) for n in _below(case.extra_padding, 0))
    yield from (replace(case, cache_room=n) for n in _below(case.cache_room, 0))
    yield from (replace(case, offset=n) for n in _below(case.offset, 0))
    yield from (replace(case, gap=n) for n in _below(case.gap, 1))
    yield from (replace(case, gap_at=n) for n in _below(case.gap_at, 0))
    yield from (replace(case, seed=n) for n in _below(case.seed, 0))
    extra = case.extra_placeholders
    for n in _below(abs(extra), 1):
        yield replace(case, extra_placeholders=n if extra > 0 else -n)
    if extra < 0:
        yield replace(case, extra_placeholders=-extra)


def _with_other_rows(case: Case, change: Callable[[Row], Iterator[Row]]) -> Iterator[Case]:
    """Change one row, and rows that are equal together: some failures need them to stay so."""
    for row in dict.fromkeys(case.rows):
        places = [i for i in _places(case.rows) if case.rows[i] == row]
        for other in change(row):
            if len(places) > 1:
                yield replace(case, rows=tuple(other if r == row else r for r in case.rows))
            for i in places:
                yield replace(case, rows=(*case.rows[:i], other, *case.rows[i + 1 :]))


def _with_other_calls(calls: tuple[Call, ...]) -> Iterator[tuple[Call, ...]]:
    for i, call in enumerate(calls):
        others = [Call(row, call.entry) for row in _shorter_rows(call.row)]
        others += [Call(call.row, entry) for entry in _HISTORY_ENTRIES]
        others += [Call(row, call.entry) for row in _rows_of_smaller_parts(call.row)]
        for other in others:
            yield (*calls[:i], other, *calls[i + 1 :])


def _shorter_rows(row: Row) -> Iterator[Row]:
    """Yield rows of fewer segments."""
    yield (Text(1),)
    yield from ((segment,) for segment in row if len(row) > 1)
    yield from (_without(row, i) for i in _places(row))
    for i, (left, right) in enumerate(pairwise(row)):
        if isinstance(left, Text) and isinstance(right, Text):
            yield (*row[:i], Text(left.tokens + right.tokens), *row[i + 2 :])
    # An image may matter only by how many tokens it is.
    for i, segment in enumerate(row):
        if isinstance(segment, Video):
            yield (*row[:i], Image(segment.width, segment.height), *row[i + 1 :])
        if not isinstance(segment, Text):
            yield from ((*row[:i], Text(n), *row[i + 1 :]) for n in _TEXT_FOR_IMAGE)


def _rows_of_smaller_parts(row: Row) -> Iterator[Row]:
    """Yield rows in which one segment is smaller."""
    for i, segment in enumerate(row):
        for other in _smaller_segments(segment):
            yield (*row[:i], other, *row[i + 1 :])


def _smaller_segments(segment: Segment) -> Iterator[Segment]:
    if isinstance(segment, Text):
        # A run of no tokens is the segment left out, which comes under shorter rows.
        yield from (Text(n) for n in _below(segment.tokens, 1))
        return
    if isinstance(segment, Audio):
        yield from (Audio(n) for n in _below(segment.samples, 1))
        return
    if isinstance(segment, Video):
        yield from _smaller_videos(segment)
        return
    width, height = segment.width, segment.height
    least = min(1, width, height)
    yield Image(least, least)
    yield Image(width, least)
    yield Image(least, height)
    # Of two images of as many pixels, the one with the shorter long side is the smaller one.
    yield Image(isqrt(width * height), isqrt(width * height))
    yield Image(-(-width // 2), -(-height // 2))
    yield from (Image(n, height) for n in _below(width, least))
    yield from (Image(width, n) for n in _below(height, least))


def _smaller_videos(video: Video) -> Iterator[Video]:
    yield Video(1, 1, 1)
    yield replace(video, seconds=DEFAULT_SECONDS)
    yield from (replace(video, frames=n) for n in _below(video.frames, 1))
    for image in _smaller_segments(Image(video.width, video.height)):
        if isinstance(image, Image):
            yield replace(video, width=image.width, height=image.height)
    # Whole seconds first: an odd time is told apart from a long one by what it rounds to.
    yield from (replace(video, seconds=float(n)) for n in _below(int(video.seconds), 1))
    yield replace(video, seconds=TICK)


def _below(n: int, least: int) -> Iterator[int]:
    """Yield numbers from ``least`` on, further and further apart, and then closer and closer to n.

    Far apart first, for a limit is mostly near the least number, and every step that succeeds
    means trying all the other axes again; halving steps last, so that a limit at 100,000 is
    reached in tens of steps and not in thousands.
    """
    step = 1
    yield least
    while least + 2 * step < n:
        yield least + step
        step *= 4
    step = (n - least) // 2
    while step > 0:
        yield n - step
        step //= 2


def _without(items: tuple[Any, ...], place: int) -> tuple[Any, ...]:
    return (*items[:place], *items[place + 1 :])


def _places(items: tuple[Any, ...]) -> range:
    return range(len(items))
