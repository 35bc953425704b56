"""A reference in the place of ``flash_attn.ops.triton.rotary``, which needs triton and a GPU."""

from __future__ import annotations

import math
import types
from typing import Final

import torch

from fuzz.worker.flash.contract import guard
from fuzz.worker.flash.kvcache import rotate

NAME: Final = "flash_attn.ops.triton.rotary"


def reference() -> types.ModuleType:
    """Return a new module object with a guarded ``apply_rotary``."""
    module = types.ModuleType(NAME, "Reference in the place of flash-attn's Triton kernel.")
    # setattr since the type of a module object does not know its contents.
    setattr(module, "apply_rotary", guard("apply_rotary", apply_rotary, wide=True))  # noqa: B010
    return module


def apply_rotary(
    x: torch.Tensor,
    cos: torch.Tensor,
    sin: torch.Tensor,
    seqlen_offsets: int | torch.Tensor = 0,
    cu_seqlens: torch.Tensor | None = None,
    max_seqlen: int | None = None,  # noqa: ARG001
    interleaved: bool = False,
    inplace: bool = False,
    conjugate: bool = False,
) -> torch.Tensor:
    """Rotate queries or keys by their positions.

    Args:
        x: (batch, tokens, heads, head size), or (rows, heads, head size) with ``cu_seqlens``.
        cos: (positions, rotary size / 2).
        sin: as ``cos``.
        seqlen_offsets: position of each sequence's first token, (batch,) or one for all.
        cu_seqlens: (batch + 1,) where each sequence starts and the last ends, or None.
        max_seqlen: the longest sequence, with ``cu_seqlens``.
        interleaved: see :func:`fuzz.worker.flash.kvcache.rotate`.
        inplace: write to ``x`` and return it.
        conjugate: rotate the other way.

    Returns:
        A tensor as ``x``. Rows that no sequence covers are NaN, unless ``inplace``.

    Source: rotary_kernel in flash_attn/ops/triton/rotary.py of 2.8.3.post2.
    """
    out = x if inplace else torch.full_like(x, math.nan)
    if conjugate:
        sin = -sin
    if cu_seqlens is None:
        pieces = [(x[row], out[row]) for row in range(len(x))]
    else:
        ends = cu_seqlens.tolist()
        pieces = [
            (x[ends[row] : ends[row + 1]], out[ends[row] : ends[row + 1]])
            for row in range(len(ends) - 1)
        ]
    for row, (source, target) in enumerate(pieces):
        first = seqlen_offsets
        if isinstance(first, torch.Tensor):
            first = int(first[row])
        positions = torch.arange(first, first + len(source), device=x.device)
        target.copy_(rotate(source, cos, sin, positions, interleaved))
    return out
