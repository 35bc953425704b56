"""Checks that flash-attn's functions share; each notes the code of what does not hold.

Codes are those of :mod:`fuzz.worker.flash.preconditions`, where the sources are.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import torch

_KERNEL: Final = (torch.float16, torch.bfloat16)
_REFERENCE: Final = (*_KERNEL, torch.float32, torch.float64)
_VECTOR: Final = 8  # Elements of 16 bits that the kernel loads at once: 16 bytes.
_GRID: Final = 65535  # Largest y and z of a grid of blocks (CUDA C++ Programming Guide).

# An argument's name and value, None where it was left out.
Named = tuple[str, "torch.Tensor | None"]


class Findings:
    """What a call's checks found.

    Attributes:
        wide: whether float32 and float64 are allowed.
        found: codes, each with what was given instead.
    """

    def __init__(self, wide: bool) -> None:
        """Start without findings."""
        self.wide = wide
        self.found: list[tuple[str, str]] = []

    def need(self, holds: bool, code: str, words: str, *values: object) -> bool:
        """Note ``code`` with ``words.format(*values)`` unless it holds; tell whether it does."""
        if not holds:
            self.found.append((code, words.format(*values)))
        return holds


def ranks(f: Findings, *expected: tuple[str, torch.Tensor, int]) -> bool:
    """Check that each is a tensor of its rank; False means that nothing else can be looked at."""
    good = True
    for name, tensor, rank in expected:
        if f.need(
            isinstance(tensor, torch.Tensor),
            "argument-type",
            "{} is a {}",
            name,
            type(tensor).__name__,
        ):
            dims = tensor.dim()
            good &= f.need(dims == rank, "rank", "{} has {} dimensions, not {}", name, dims, rank)
        else:
            good = False
    return good


def floats(f: Findings, q: torch.Tensor, named: Iterable[Named], vectors: bool = True) -> None:
    """Check dtype, device, last stride and alignment of tensors that blocks are loaded from.

    Args:
        f: where to note.
        q: the queries; the others follow them.
        named: all such tensors, ``q`` among them.
        vectors: whether the kernel loads them by 8 elements as they are.
    """
    allowed = _REFERENCE if f.wide else _KERNEL
    f.need(q.dtype in allowed, "dtype", "q is {}", q.dtype)
    for name, x in named:
        if x is None:
            continue
        f.need(x.dtype == q.dtype, "same-dtype", "{} is {}, q {}", name, x.dtype, q.dtype)
        on_device(f, q, name, x)
        strides = x.stride()
        f.need(strides[-1] == 1, "last-stride", "{} has strides {}", name, strides)
        if not vectors or not x.numel():
            continue
        # Where a wide tensor lies is chance; what counts is how far in it starts.
        off = x.data_ptr() // x.element_size() if x.dtype in _KERNEL else x.storage_offset()
        f.need(
            off % _VECTOR == 0,
            "pointer-alignment",
            "{} starts {} elements past one",
            name,
            off % _VECTOR,
        )
        odd = any(s % _VECTOR and n > 1 for s, n in zip(strides[:-1], x.shape[:-1], strict=True))
        f.need(not odd, "stride-alignment", "{} has strides {}", name, strides)


def on_device(f: Findings, q: torch.Tensor, name: str, x: torch.Tensor) -> bool:
    """Check that ``x`` is where the queries are."""
    return f.need(
        x.device == q.device,
        "device" if x.device.type != q.device.type else "device-index",
        "{} is on {}, q on {}",
        name,
        x.device,
        q.device,
    )


def written(f: Findings, *named: Named) -> None:
    """Check that tensors that the kernel writes do not overlap themselves."""
    for name, x in named:
        if x is not None:
            overlaps = any(s == 0 and n > 1 for s, n in zip(x.stride(), x.shape, strict=True))
            f.need(
                not overlaps,
                "output-overlap",
                "{} is {} with strides {}",
                name,
                tuple(x.shape),
                x.stride(),
            )


def shaped(f: Findings, name: str, x: torch.Tensor | None, *shape: int) -> bool:
    """Check the shape of a tensor that is there."""
    if x is None:
        return True
    got = tuple(x.shape)
    return f.need(got == shape, "shape", "{} is {}, not {}", name, got, shape)


def heads(f: Findings, query_heads: int, key_heads: int, size: int, pads: bool = False) -> None:
    """Check numbers of heads and their size.

    Args:
        f: where to note.
        query_heads: heads of the queries.
        key_heads: heads of keys and values.
        size: of a head.
        pads: whether the function pads heads to a multiple of 8 by itself.
    """
    f.need(size <= 256, "head-size-256", "it is {}", size)
    f.need(pads or size % _VECTOR == 0, "head-size-8", "it is {}", size)
    f.need(query_heads <= _GRID, "grid", "there are {} heads", query_heads)
    if f.need(key_heads > 0, "key-heads", "there are {} for {} heads", key_heads, query_heads):
        f.need(query_heads % key_heads == 0, "gqa", "they are {} and {}", query_heads, key_heads)


def batch(f: Findings, count: int) -> None:
    """Check how many sequences there are."""
    f.need(count > 0, "batch-empty", "there are {}", count)
    f.need(count <= _GRID, "grid", "there are {} sequences", count)


def settings(f: Findings, dropout_p: float, softcap: float, return_softmax: bool) -> None:
    """Check the numbers that every function takes."""
    f.need(dropout_p < 1, "dropout-1", "it is {}", dropout_p)
    f.need(dropout_p >= 0, "dropout-negative", "it is {}", dropout_p)
    f.need(softcap >= 0, "softcap-negative", "it is {}", softcap)
    f.need(
        softcap <= 0 or dropout_p == 0,
        "softcap-dropout",
        "softcap is {}, dropout_p {}",
        softcap,
        dropout_p,
    )
    f.need(
        not return_softmax or dropout_p > 0,
        "softmax-dropout",
        "dropout_p is {}",
        dropout_p,
    )


def alibi(f: Findings, q: torch.Tensor, slopes: torch.Tensor | None, rows: int, count: int) -> None:
    """Check ALiBi slopes for ``rows`` sequences and ``count`` heads."""
    if slopes is None:
        return
    allowed = _REFERENCE[2:] if f.wide else (torch.float32,)
    f.need(slopes.dtype in allowed, "alibi-dtype", "they are {}", slopes.dtype)
    on_device(f, q, "alibi_slopes", slopes)
    got = tuple(slopes.shape)
    if f.need(
        got in ((count,), (rows, count)),
        "alibi-shape",
        "they are {} for {} sequences and {} heads",
        got,
        rows,
        count,
    ):
        f.need(slopes.stride(-1) == 1, "alibi-stride", "their strides are {}", slopes.stride())


def logarithms(f: Findings, q: torch.Tensor, lse: torch.Tensor, *shape: int) -> None:
    """Check what a backward pass gets from its forward pass, of which the kernel checks nothing."""
    got = tuple(lse.shape)
    on_device(f, q, "softmax_lse", lse)
    f.need(got == shape, "lse-shape", "it is {}, not {}", got, shape)
    needed = torch.float64 if f.wide and q.dtype == torch.float64 else torch.float32
    f.need(lse.dtype == needed, "lse-dtype", "it is {} for {}", lse.dtype, q.dtype)
    f.need(lse.is_contiguous(), "lse-contiguous", "its strides are {}", lse.stride())
