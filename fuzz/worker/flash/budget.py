"""How far a kernel of flash-attn may be from float64, for one sequence and by rounding alone.

First order, from what the kernels are documented to do (src/flash_fwd_kernel.h, src/softmax.h,
src/flash_bwd_kernel.h of 2.8.3.post2): products of the inputs are accumulated in float32, so is
the softmax; the weights P, and backward dS, are rounded to the inputs' dtype before they are
multiplied again; results are rounded once. With u and w half a unit in the last place, relative,
of the inputs' dtype and of the accumulator, d the head size and n the number of summands:

- a score is off by ds = w (d + 8) scale |q| |k|, Cauchy-Schwarz over the products, more where a
  rotation was rounded (u), a tanh is approximated (softcap) or a distance is subtracted (ALiBi);
- a weight by 2 ds + n w (numerator, row sum) and u, and by half the smallest number of float16;
- so an output by (u + 2 ds + n w) sum_j P_j |v_j| + u |out|, and gradients likewise.

Twice that is allowed, for terms of second order. It is proportional to what was summed and not to
the result, so nothing that cancels is blamed on a kernel. It cannot see a key whose weight is
below it, some 2 % in bfloat16 and 0.2 % in float16; in float64 everything above 1e-9 is seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch

from fuzz.worker.flash.attend import attend, attend_backward, per_head, scores_of
from fuzz.worker.flash.pieces import Piece

EXACT: Final = 1e-9
"""What float64 may be off by, relative to one plus what was summed; see the exact lane."""
_SECOND_ORDER: Final = 2.0
_TANH: Final = 2.0**-10  # twice the error of the hardware's approximation, relative
_EXP: Final = 2.0**-21


@dataclass(frozen=True, slots=True)
class Expected:
    """What a result should be, and how far off each element may be.

    Attributes:
        value: float64, shaped as the result.
        most: as ``value``.
    """

    value: torch.Tensor
    most: torch.Tensor


@dataclass(frozen=True, slots=True)
class _Units:
    own: float
    wide: float
    tiny: float


def forward(piece: Piece, dtype: torch.dtype) -> tuple[Expected, Expected]:
    """Return the expected output, (queries, heads, head size), and logarithms, (heads, queries).

    Args:
        piece: the sequence.
        dtype: of the call's inputs.
    """
    out, lse = attend(piece.q, piece.k, piece.v, piece.rule, piece.slopes)
    summed, _ = attend(piece.q, piece.k, piece.v.abs(), piece.rule, piece.slopes)
    if dtype == torch.float64:
        return Expected(out, EXACT * (1 + summed)), Expected(lse, EXACT * (1 + lse.abs()))
    unit = _units(dtype)
    off = _score(piece, unit)
    adding = (len(piece.k) + 8) * unit.wide + _EXP
    small = unit.tiny * (1 + piece.v.abs().sum(0).repeat_interleave(_groups(piece), 0))
    share = unit.own + 2 * off.T[..., None] + adding
    most = _SECOND_ORDER * (share * summed + unit.own * out.abs() + small)
    most_lse = _SECOND_ORDER * (off + adding + 4 * unit.wide * lse.abs())
    return Expected(out, most), Expected(lse, most_lse)


def backward(
    piece: Piece, dout: torch.Tensor, out: torch.Tensor, lse: torch.Tensor, dtype: torch.dtype
) -> tuple[Expected, Expected, Expected]:
    """Return the expected gradients of a sequence's q, k and v.

    Args:
        piece: the sequence.
        dout: (queries, heads, head size), gradient of the output, float64.
        out: what the forward pass gave, float64.
        lse: (heads, queries), likewise.
        dtype: of the call's inputs.
    """
    q, rule, groups = piece.q, piece.rule, _groups(piece)
    values = attend_backward(dout, q, piece.k, piece.v, out, lse, rule, piece.slopes)
    k, v = per_head(piece.k, groups, q.dtype), per_head(piece.v, groups, q.dtype)
    scores, inner = scores_of(q, k, rule, piece.slopes)
    weights = torch.exp(scores - lse[..., None])
    bend = rule.scale * (torch.ones_like(scores) if inner is None else inner)
    size = torch.einsum("ihd,jhd->hij", dout.abs(), v.abs())
    rows = torch.einsum("ihd,ihd->hi", dout.abs(), out.abs())[..., None]
    summed = weights * bend * (size + rows)
    to_q = torch.einsum("hij,jhd->ihd", summed, k.abs())
    to_k = torch.einsum("hij,ihd->jhd", summed, q.abs())
    to_v = torch.einsum("hij,ihd->jhd", weights, dout.abs())
    if dtype == torch.float64:
        share, unit = torch.full_like(summed, EXACT), _Units(EXACT, 0.0, EXACT)
    else:
        unit = _units(dtype)
        adding = (len(k) + len(q) + q.shape[-1] + 16) * unit.wide + _EXP
        off = _score(piece, unit) + 4 * unit.wide * lse.masked_fill(lse.isinf(), 0.0).abs()
        share = (unit.own + 2 * off[..., None] + adding).expand_as(summed)
    off_q = torch.einsum("hij,jhd->ihd", share * summed, k.abs())
    off_k = torch.einsum("hij,ihd->jhd", share * summed, q.abs())
    off_v = torch.einsum("hij,ihd->jhd", share * weights, dout.abs())
    # One rounding of each head's gradient, one more where heads share a key, and what underflows.
    least = unit.tiny * (1 + rule.scale * k.abs().sum(0))
    least_k = unit.tiny * (1 + rule.scale * q.abs().sum(0))
    least_v = unit.tiny * (1 + dout.abs().sum(0))
    most = (
        off_q + unit.own * to_q + least,
        _shared(off_k + 2 * unit.own * to_k + least_k, groups),
        _shared(off_v + 2 * unit.own * to_v + least_v, groups),
    )
    dq, dk, dv = (
        Expected(value, _SECOND_ORDER * limit) for value, limit in zip(values, most, strict=True)
    )
    return dq, dk, dv


def rotated(fresh: torch.Tensor, dtype: torch.dtype) -> float:
    """Return how far a rotated key may be off: two products, each and their sum rounded."""
    most = float(fresh.double().abs().max()) if fresh.numel() else 0.0
    return (EXACT if dtype == torch.float64 else 4 * _units(dtype).own) * (2 * most)


def _units(dtype: torch.dtype) -> _Units:
    info = torch.finfo(dtype)
    wide = torch.finfo(torch.float64 if dtype == torch.float64 else torch.float32).eps / 2
    # Half the smallest number there is: what rounding one that underflows may lose.
    return _Units(info.eps / 2, wide, info.smallest_normal * info.eps / 2)


def _score(piece: Piece, unit: _Units) -> torch.Tensor:
    """Return how far a query's scores may be off, (heads, queries)."""
    queries, keys, size = len(piece.q), len(piece.k), piece.q.shape[-1]
    if not keys:
        return piece.q.new_zeros(piece.q.shape[1], queries)
    longest = piece.k.norm(dim=-1).amax(0).repeat_interleave(_groups(piece))
    product = piece.q.norm(dim=-1).T * longest[:, None] * piece.rule.scale
    off = product * (unit.wide * (size + 8) + (3 * unit.own if piece.rotated else 0.0))
    if piece.rule.softcap > 0:
        off = off + product.clamp(max=piece.rule.softcap) * _TANH
    if piece.slopes is not None:
        far = 4 * unit.wide * (queries + keys)
        off = off + piece.slopes.double().abs()[:, None] * far
    sure: torch.Tensor = off
    return sure


def _groups(piece: Piece) -> int:
    return piece.q.shape[1] // piece.k.shape[1]


def _shared(limit: torch.Tensor, groups: int) -> torch.Tensor:
    keys, heads, size = limit.shape
    return limit.reshape(keys, heads // groups, groups, size).sum(2)
