"""Which cases of many come first: those that bring together what has not met yet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, TypeAlias

from strategies.case import Call, Case, Row, Text, images_of, videos_of

Trait: TypeAlias = tuple[str, object]

_FEW: Final = (0, 1, 4)
_LENGTHS: Final = (0, 1, 15, 47)
"""Text tokens: none, one, less than a block of 16, less than three such blocks, more."""
_LONG: Final = 16


def most_varied(cases: Sequence[Case], count: int) -> list[Case]:
    """Return cases that between them have the most pairs of traits, best first.

    Most failures need one or two conditions to hold at once (Kuhn, Wallace, Gallo: Software fault
    interactions and implications for software testing, 2004), so each next case is the one with
    the most pairs that no case before it had; of equals the one with the most segments, and of
    these the first.

    Args:
        cases: to choose from.
        count: how many to choose; all are returned where there are no more.
    """
    numbers: dict[Trait, int] = {}
    held = [[numbers.setdefault(t, len(numbers)) for t in traits(case)] for case in cases]
    pairs = [_pairs(which, len(numbers)) for which in held]
    left = list(range(len(cases)))
    met = 0
    chosen: list[Case] = []
    while left and len(chosen) < count:
        best = max(left, key=lambda n: ((pairs[n] & ~met).bit_count(), segments(cases[n])))
        left.remove(best)
        met |= pairs[best]
        chosen.append(cases[best])
    return chosen


def _pairs(which: Sequence[int], count: int) -> int:
    """Return the pairs of some of ``count`` things as a number with one bit for each.

    Sets of pairs took 0.1 s to choose from, for each property.
    """
    all_of_them = sum(1 << n for n in which)
    # Each with those of higher numbers, so that a pair is counted once.
    return sum((all_of_them >> (n + 1) << (n + 1)) << (n * count) for n in which)


def traits(case: Case) -> frozenset[Trait]:
    """Return what a case is like, coarsely: numbers by their size, rows by what any of them has."""
    return frozenset(
        {
            ("entry", case.entry),
            ("mode", case.mode),
            ("mask", case.attention_mask),
            ("cache", case.cache),
            ("side", case.side),
            ("padding", _size(case.extra_padding, _FEW)),
            ("chunks", min(len(case.chunks), 2)),
            ("decode", min(case.decode, 2)),
            ("crop", case.crop > 0),
            ("between", len(case.between)),
            ("how", case.how),
            ("turn", case.turn > 0),
            ("turn image", case.turn_image is not None),
            ("offset", case.offset > 0),
            ("gap", case.gap > 0),
            ("history", len(case.history)),
            ("gain", case.gain),
            ("rows", len(case.rows)),
            ("rows alike", len(set(case.rows)) == 1),
            ("placeholders", _size(abs(case.extra_placeholders), _FEW)),
            ("room", case.cache_room > 0),
            *(trait for call in case.history for trait in _of_call(call)),
            *(trait for row in case.rows for trait in _of_row(row)),
        }
    )


def segments(case: Case) -> int:
    """Count the texts, images, videos and recordings of a case's rows."""
    return sum(map(len, case.rows))


def _of_call(call: Call) -> Iterator[Trait]:
    yield "earlier entry", call.entry
    yield "earlier text is long", _text(call.row) > _LONG
    for segment in call.row:
        yield "earlier", type(segment).__name__


def _of_row(row: Row) -> Iterator[Trait]:
    yield "images", min(len(images_of(row)), 2)
    yield "videos", bool(videos_of(row))
    yield "text", _size(_text(row), _LENGTHS)


def _text(row: Row) -> int:
    return sum(s.tokens for s in row if isinstance(s, Text))


def _size(number: int, ends: Sequence[int]) -> int:
    """Return in which of the ranges that end at the given numbers a number is."""
    return sum(number > end for end in ends)
