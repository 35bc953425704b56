"""Checks of what says where sequences lie: starts, lengths, pages, rows of a cache.

Only these tensors are copied to the host. Codes are those of
:mod:`fuzz.worker.flash.preconditions`, where the sources are.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import torch

from fuzz.worker.flash.checks import Findings, on_device

_PAGE: Final = 256


def host(
    f: Findings, q: torch.Tensor, name: str, x: torch.Tensor, shape: tuple[int, ...] | None
) -> list[int] | None:
    """Check a one-dimensional int32 tensor and return its values, None where it is unusable.

    Args:
        f: where to note.
        q: the queries.
        name: the argument's name.
        x: the tensor.
        shape: what it must be, None where the kernel does not look.
    """
    if not f.need(
        isinstance(x, torch.Tensor), "argument-type", "{} is a {}", name, type(x).__name__
    ):
        return None
    good = f.need(x.dtype == torch.int32, "int32", "{} is {}", name, x.dtype)
    on_device(f, q, name, x)
    f.need(x.is_contiguous(), "contiguous", "{} has strides {}", name, x.stride())
    if shape is not None:
        got = tuple(x.shape)
        good &= f.need(got == shape, "side-shape", "{} is {}, not {}", name, got, shape)
    if not good or x.dim() != 1 or x.device.type == "meta":
        return None
    values: list[int] = x.tolist()
    return values


def longest(f: Findings, name: str, given: object, lengths: Sequence[int] | None) -> int:
    """Check a ``max_seqlen`` against the sequences and return it as an int."""
    if not f.need(
        hasattr(given, "__index__"), "argument-type", "{} is a {}", name, type(given).__name__
    ):
        return 0
    value = int(given)  # type: ignore[call-overload]
    if lengths:
        f.need(
            value >= max(lengths),
            "max-seqlen-low",
            "{} is {} and a sequence has {}",
            name,
            value,
            max(lengths),
        )
    return int(value)


def starts(f: Findings, name: str, values: Sequence[int], rows: int | None) -> list[int]:
    """Check cumulated lengths and return the lengths.

    Args:
        f: where to note.
        name: the argument's name.
        values: as the tensor holds them, at least one.
        rows: what they index, None where only their differences count (pages).
    """
    lengths = [b - a for a, b in pairwise(values)]
    f.need(min(lengths, default=0) >= 0, "cu-order", "{} is {}", name, list(values))
    if rows is not None:
        f.need(values[0] == 0, "cu-first", "{} starts at {}", name, values[0])
        top = max(values)
        f.need(top <= rows, "cu-past-end", "{} reaches {} of {} rows", name, top, rows)
        f.need(values[-1] >= rows, "cu-short", "{} ends at {} of {} rows", name, values[-1], rows)
    return lengths


def within(f: Findings, code: str, name: str, values: Sequence[int], limits: Sequence[int]) -> None:
    """Check that each value lies between 0 and its limit, inclusive."""
    good = all(0 <= x <= limit for x, limit in zip(values, limits, strict=True))
    f.need(good, code, "{} is {} for {}", name, list(values), list(limits))


def pages(
    f: Findings,
    q: torch.Tensor,
    cache: torch.Tensor,
    table: torch.Tensor,
    rows: int,
    lengths: Sequence[int] | None,
) -> None:
    """Check a table of pages.

    Args:
        f: where to note.
        q: the queries.
        cache: (pages, page size, key heads, head size).
        table: (``rows``, columns) int32, -1 or anything else where unused.
        rows: sequences.
        lengths: keys of each sequence, the new ones included; None where they are not known.
    """
    count, size = cache.shape[:2]
    f.need(size > 0 and size % _PAGE == 0, "page-size", "it is {}", size)
    good = f.need(table.dtype == torch.int32, "int32", "block_table is {}", table.dtype)
    good &= on_device(f, q, "block_table", table)
    got = tuple(table.shape)
    good &= f.need(
        len(got) == 2 and got[0] == rows,
        "side-shape",
        "block_table is {} for {} sequences",
        got,
        rows,
    )
    if not good:
        return
    f.need(table.stride(-1) == 1, "page-stride", "its strides are {}", table.stride())
    if lengths is None or size == 0 or table.device.type == "meta":
        return
    for number, (row, keys) in enumerate(zip(table.tolist(), lengths, strict=True)):
        used = -(-max(keys, 0) // size)
        f.need(
            used <= len(row),
            "page-table-short",
            "sequence {} has {} keys, {} pages, and there are {} columns",
            number,
            keys,
            used,
            len(row),
        )
        outside = [page for page in row[:used] if not 0 <= page < count]
        f.need(
            not outside,
            "page-range",
            "sequence {} uses {} of {} pages",
            number,
            outside,
            count,
        )
