"""A reference in the place of flash-attn's compiled extension ``flash_attn_2_cuda``.

The functions take what the compiled ones take, by position (csrc/flash_attn/flash_api.cpp of
2.8.3.post2, PYBIND11_MODULE), on any device. They compute in float64 for float64 inputs, else in
float32. They do not look at what they are given: :mod:`fuzz.worker.flash.contract` does. Rows that
no sequence covers are NaN, where the kernel leaves memory as it found it. Dropout is refused.
"""

from __future__ import annotations

import math
import types
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
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
    out[:], lse[:] = attend(q, k, v, rule, alibi_slopes)
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
    for alike in _alike(cu_seqlens_q, cu_seqlens_k, seqused_k, leftpad_k):
        if block_table is None:
            keys, values = k[alike.keys], v[alike.keys]
        else:
            pages, used = block_table[alike.numbers], alike.keys.shape[1]
            keys, values = (paged_rows(cache, pages, used) for cache in (k, v))
        slopes = slopes_of(alibi_slopes, alike.numbers)
        out[alike.queries], logarithms = attend(q[alike.queries], keys, values, rule, slopes)
        lse[:, alike.queries] = logarithms.movedim(1, 0)
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
    dq[:], dk[:], dv[:] = attend_backward(dout, q, k, v, out, softmax_lse, rule, alibi_slopes)
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
    for alike in _alike(cu_seqlens_q, cu_seqlens_k):
        own, seen = alike.queries, alike.keys
        dq[own], dk[seen], dv[seen] = attend_backward(
            dout[own],
            q[own],
            k[seen],
            v[seen],
            out[own],
            softmax_lse[:, own].movedim(1, 0),
            rule,
            slopes_of(alibi_slopes, alike.numbers),
        )
    workspace = softmax_lse.new_zeros(q.shape[1], len(q) + _BLOCK * (len(cu_seqlens_q) - 1))
    return dq, dk, dv, workspace


@dataclass(frozen=True, slots=True)
class _Alike:
    """Packed sequences of one length, of queries and of keys.

    Attributes:
        numbers: which sequences of the call they are.
        queries: (sequences, length) rows of the packed queries.
        keys: (sequences, length) rows of the packed keys, where these lie one after the other.
    """

    numbers: list[int]
    queries: torch.Tensor
    keys: torch.Tensor


def _alike(
    cu_seqlens_q: torch.Tensor,
    cu_seqlens_k: torch.Tensor,
    seqused_k: torch.Tensor | None = None,
    leftpad_k: torch.Tensor | None = None,
) -> Iterator[_Alike]:
    """Return the sequences of a call, those of one length together: windows are many and small."""
    starts, key_starts = cu_seqlens_q.tolist(), cu_seqlens_k.tolist()
    used = None if seqused_k is None else seqused_k.tolist()
    skipped = [0] * len(starts) if leftpad_k is None else leftpad_k.tolist()
    found: dict[tuple[int, int], list[int]] = {}
    for n, (start, end) in enumerate(pairwise(starts)):
        keys = key_starts[n + 1] - key_starts[n] if used is None else used[n]
        found.setdefault((end - start, keys - skipped[n]), []).append(n)

    def rows(firsts: list[int], count: int) -> torch.Tensor:
        each = torch.arange(count, device=cu_seqlens_q.device)
        return torch.tensor(firsts, device=each.device)[:, None] + each

    for (queries, keys), numbers in found.items():
        yield _Alike(
            numbers,
            rows([starts[n] for n in numbers], queries),
            rows([key_starts[n] + skipped[n] for n in numbers], keys),
        )


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
