"""A reference in the place of flash-attn's compiled extension ``flash_attn_2_cuda``.

The functions take what the compiled ones take, by position (csrc/flash_attn/flash_api.cpp of
2.8.3.post2, PYBIND11_MODULE), on any device. They compute in float64 for float64 inputs, else in
float32. They do not look at what they are given: :mod:`fuzz.worker.flash.contract` does. Rows that
no sequence covers are NaN, where the kernel leaves memory as it found it. Dropout is refused.
"""

from __future__ import annotations

import math
import types
from typing import Final

import torch

from fuzz.worker.flash.attend import accumulator, attend, attend_backward, scoring
from fuzz.worker.flash.kvcache import fwd_kvcache, paged_rows, slopes_of

NAME: Final = "flash_attn_2_cuda"
_BLOCK: Final = 128  # The kernel's largest block of queries; pads what backward returns last.

Gradients = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]


class ReferenceExtension(types.ModuleType):
    """The module object that stands for the compiled one."""


def reference() -> ReferenceExtension:
    """Return a new module object with the five functions."""
    module = ReferenceExtension(NAME, "Reference in the place of flash-attn's compiled extension.")
    for function in (fwd, varlen_fwd, fwd_kvcache, bwd, varlen_bwd):
        setattr(module, function.__name__, function)
    return module


def fwd(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    out: torch.Tensor | None,
    alibi_slopes: torch.Tensor | None,
    dropout_p: float,
    softmax_scale: float,
    causal: bool,
    window_left: int,
    window_right: int,
    softcap: float,
    _return_softmax: bool,
    _generator: object = None,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Attend sequences of one length (mha_fwd).

    Args:
        q: (batch, queries, heads, head size).
        k: (batch, keys, key heads, head size).
        v: as ``k``.
        out: written and returned where given.
        alibi_slopes: (heads,) or (batch, heads), or None.
        dropout_p: 0.
        softmax_scale: factor of the scores.
        causal: see :func:`fuzz.worker.flash.attend.scoring`.
        window_left: likewise.
        window_right: likewise.
        softcap: likewise.

    Returns:
        The output, shaped as ``q``; (batch, heads, queries) logarithms; two things that only
        dropout fills.

    Raises:
        NotImplementedError: dropout is asked for.
    """
    _refuse_dropout(dropout_p)
    rule = scoring(softmax_scale, causal, window_left, window_right, softcap, k.shape[1])
    out = _unwritten(q) if out is None else out
    lse = _unwritten_lse(q, len(q), q.shape[2], q.shape[1])
    for row in range(len(q)):
        out[row], lse[row] = attend(q[row], k[row], v[row], rule, slopes_of(alibi_slopes, row))
    return out, lse, q.new_empty(0), _untouched_seed(q)


def varlen_fwd(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    out: torch.Tensor | None,
    cu_seqlens_q: torch.Tensor,
    cu_seqlens_k: torch.Tensor,
    seqused_k: torch.Tensor | None,
    leftpad_k: torch.Tensor | None,
    block_table: torch.Tensor | None,
    alibi_slopes: torch.Tensor | None,
    _max_seqlen_q: int,
    max_seqlen_k: int,
    dropout_p: float,
    softmax_scale: float,
    zero_tensors: bool,
    causal: bool,
    window_left: int,
    window_right: int,
    softcap: float,
    _return_softmax: bool,
    _generator: object = None,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Attend sequences that lie one after the other (mha_varlen_fwd).

    Args:
        q: (rows, heads, head size).
        k: (rows, key heads, head size), or (pages, page size, key heads, head size) with a
            ``block_table``.
        v: as ``k``.
        out: written and returned where given.
        cu_seqlens_q: (batch + 1,) int32, where each sequence of queries starts and the last ends.
        cu_seqlens_k: the same of the keys; with a ``block_table`` only lengths.
        seqused_k: (batch,) int32, how many keys of each sequence are used, or None.
        leftpad_k: (batch,) int32, how many keys to leave out at each start, or None.
        block_table: (batch, pages per sequence) int32, or None.
        alibi_slopes: (heads,) or (batch, heads), or None.
        max_seqlen_k: the longest sequence of keys.
        dropout_p: 0.
        softmax_scale: factor of the scores.
        zero_tensors: fill with 0 (logarithms with -inf) what no sequence covers.
        causal: see :func:`fuzz.worker.flash.attend.scoring`.
        window_left: likewise.
        window_right: likewise.
        softcap: likewise.

    Returns:
        The output, shaped as ``q``; (heads, rows) logarithms; two things that only dropout fills.

    Raises:
        NotImplementedError: dropout is asked for.
    """
    _refuse_dropout(dropout_p)
    rule = scoring(softmax_scale, causal, window_left, window_right, softcap, max_seqlen_k)
    out = _unwritten(q) if out is None else out
    lse = _unwritten_lse(q, q.shape[1], len(q))
    if zero_tensors:
        out.zero_()
        lse.fill_(-math.inf)
    starts, key_starts = cu_seqlens_q.tolist(), cu_seqlens_k.tolist()
    for row in range(len(starts) - 1):
        used = key_starts[row + 1] - key_starts[row]
        if seqused_k is not None:
            used = int(seqused_k[row])
        if block_table is not None:
            keys, values = (paged_rows(cache, block_table[row], used) for cache in (k, v))
        else:
            first = 0 if leftpad_k is None else int(leftpad_k[row])
            seen = slice(key_starts[row] + first, key_starts[row] + used)
            keys, values = k[seen], v[seen]
        own = slice(starts[row], starts[row + 1])
        out[own], lse[:, own] = attend(q[own], keys, values, rule, slopes_of(alibi_slopes, row))
    return out, lse, q.new_empty(0), _untouched_seed(q)


def bwd(
    dout: torch.Tensor,
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    out: torch.Tensor,
    softmax_lse: torch.Tensor,
    dq: torch.Tensor | None,
    dk: torch.Tensor | None,
    dv: torch.Tensor | None,
    alibi_slopes: torch.Tensor | None,
    dropout_p: float,
    softmax_scale: float,
    causal: bool,
    window_left: int,
    window_right: int,
    softcap: float,
    _deterministic: bool,
    _generator: object = None,
    _seed: torch.Tensor | None = None,
) -> Gradients:
    """Return the gradients of :func:`fwd`, written to ``dq``, ``dk``, ``dv`` where given (mha_bwd).

    The arguments are those of :func:`fwd`, what it returned, and ``dout``, shaped as its output.
    The fourth result is the kernel's workspace, (batch, heads, queries rounded up), here zeros.

    Raises:
        NotImplementedError: dropout is asked for.
    """
    _refuse_dropout(dropout_p)
    rule = scoring(softmax_scale, causal, window_left, window_right, softcap, k.shape[1])
    dq, dk, dv = (_unwritten(x) if d is None else d for d, x in ((dq, q), (dk, k), (dv, v)))
    for row in range(len(q)):
        dq[row], dk[row], dv[row] = attend_backward(
            dout[row],
            q[row],
            k[row],
            v[row],
            out[row],
            softmax_lse[row],
            rule,
            slopes_of(alibi_slopes, row),
        )
    rounded = -(-q.shape[1] // _BLOCK) * _BLOCK
    return dq, dk, dv, softmax_lse.new_zeros(len(q), q.shape[2], rounded)


def varlen_bwd(
    dout: torch.Tensor,
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    out: torch.Tensor,
    softmax_lse: torch.Tensor,
    dq: torch.Tensor | None,
    dk: torch.Tensor | None,
    dv: torch.Tensor | None,
    cu_seqlens_q: torch.Tensor,
    cu_seqlens_k: torch.Tensor,
    alibi_slopes: torch.Tensor | None,
    _max_seqlen_q: int,
    max_seqlen_k: int,
    dropout_p: float,
    softmax_scale: float,
    zero_tensors: bool,
    causal: bool,
    window_left: int,
    window_right: int,
    softcap: float,
    _deterministic: bool,
    _generator: object = None,
    _seed: torch.Tensor | None = None,
) -> Gradients:
    """Return the gradients of :func:`varlen_fwd` (mha_varlen_bwd), otherwise as :func:`bwd`.

    Rows that no sequence covers are NaN also in the tensors passed in: flash-attn's Python passes
    uninitialised ones. With ``zero_tensors`` they are 0. The fourth result is the kernel's
    workspace, (heads, rows + 128 * batch), here zeros.

    Raises:
        NotImplementedError: dropout is asked for.
    """
    _refuse_dropout(dropout_p)
    rule = scoring(softmax_scale, causal, window_left, window_right, softcap, max_seqlen_k)
    dq, dk, dv = (
        (torch.empty_like(x) if d is None else d).fill_(0.0 if zero_tensors else math.nan)
        for d, x in ((dq, q), (dk, k), (dv, v))
    )
    starts, key_starts = cu_seqlens_q.tolist(), cu_seqlens_k.tolist()
    for row in range(len(starts) - 1):
        own = slice(starts[row], starts[row + 1])
        seen = slice(key_starts[row], key_starts[row + 1])
        dq[own], dk[seen], dv[seen] = attend_backward(
            dout[own],
            q[own],
            k[seen],
            v[seen],
            out[own],
            softmax_lse[:, own],
            rule,
            slopes_of(alibi_slopes, row),
        )
    workspace = softmax_lse.new_zeros(q.shape[1], len(q) + _BLOCK * (len(starts) - 1))
    return dq, dk, dv, workspace


def _refuse_dropout(dropout_p: float) -> None:
    if dropout_p > 0:
        raise NotImplementedError(
            f"the reference for {NAME} has no dropout (got dropout_p {dropout_p})"
        )


def _unwritten(like: torch.Tensor) -> torch.Tensor:
    return torch.full_like(like, math.nan)


def _unwritten_lse(q: torch.Tensor, *shape: int) -> torch.Tensor:
    return torch.full(shape, math.nan, dtype=accumulator(q.dtype), device=q.device)


def _untouched_seed(q: torch.Tensor) -> torch.Tensor:
    return torch.zeros(2, dtype=torch.int64, device=q.device)
