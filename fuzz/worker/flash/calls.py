"""What each function of flash-attn's extension needs of its arguments, one check a function.

The parameters are the functions' own, in their order (csrc/flash_attn/flash_api.cpp of
2.8.3.post2, PYBIND11_MODULE). Nothing is raised here: findings are noted.
"""

from __future__ import annotations

import torch

from fuzz.worker.flash.checks import (
    Findings,
    alibi,
    batch,
    floats,
    heads,
    logarithms,
    ranks,
    settings,
    shaped,
    written,
)
from fuzz.worker.flash.sequence_checks import host, longest, pages, starts, within


def fwd(
    f: Findings,
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    out: torch.Tensor | None,
    alibi_slopes: torch.Tensor | None,
    dropout_p: float,
    _scale: float,
    _causal: bool,
    _left: int,
    _right: int,
    softcap: float,
    return_softmax: bool,
    _generator: object = None,
) -> None:
    """Check a call of ``fwd``, the arguments of mha_fwd."""
    settings(f, dropout_p, softcap, return_softmax)
    if not ranks(f, ("q", q, 4), ("k", k, 4), ("v", v, 4)):
        return
    _dense(f, q, k, v, alibi_slopes)
    f.need(q.shape[1] > 0, "queries-empty", "q is {}", tuple(q.shape))
    floats(f, q, (("q", q), ("k", k), ("v", v), ("out", out)))
    shaped(f, "out", out, *q.shape)
    written(f, ("out", out))


def bwd(
    f: Findings,
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
    _scale: float,
    _causal: bool,
    _left: int,
    _right: int,
    softcap: float,
    _deterministic: bool,
    _generator: object = None,
    _seed: torch.Tensor | None = None,
) -> None:
    """Check a call of ``bwd``, the arguments of mha_bwd."""
    settings(f, dropout_p, softcap, False)
    if not ranks(f, ("q", q, 4), ("k", k, 4), ("v", v, 4), ("out", out, 4), ("dout", dout, 4)):
        return
    _dense(f, q, k, v, alibi_slopes)
    f.need(k.shape[1] > 0, "keys-empty", "k is {}", tuple(k.shape))
    _gradients(f, q, k, v, out, dout, dq, dk, dv)
    logarithms(f, q, softmax_lse, q.shape[0], q.shape[2], q.shape[1])


def varlen_fwd(
    f: Findings,
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
    max_seqlen_q: int,
    max_seqlen_k: int,
    dropout_p: float,
    _scale: float,
    _zero_tensors: bool,
    _causal: bool,
    left: int,
    right: int,
    softcap: float,
    return_softmax: bool,
    _generator: object = None,
) -> None:
    """Check a call of ``varlen_fwd``, the arguments of mha_varlen_fwd."""
    settings(f, dropout_p, softcap, return_softmax)
    paged = block_table is not None
    if not ranks(f, ("q", q, 3), ("k", k, 4 if paged else 3), ("v", v, 4 if paged else 3)):
        return
    floats(f, q, (("q", q), ("k", k), ("v", v), ("out", out)))
    heads(f, q.shape[1], k.shape[-2], q.shape[2])
    shaped(f, "k", k, *k.shape[:-1], q.shape[2])
    shaped(f, "v", v, *k.shape)
    shaped(f, "out", out, *q.shape)
    written(f, ("out", out))
    rows, lengths_q, lengths_k = _packed(
        f, q, None if paged else k, cu_seqlens_q, cu_seqlens_k, alibi_slopes
    )
    most_q = longest(f, "max_seqlen_q", max_seqlen_q, lengths_q)
    longest(f, "max_seqlen_k", max_seqlen_k, lengths_k)
    f.need(most_q > 0, "queries-empty", "max_seqlen_q is {}", most_q)
    plain = left < 0 and right < 0 and dropout_p == 0 and alibi_slopes is None
    if most_q == 1 and q.shape[1] > k.shape[-2] and plain:
        f.need(len(q) == rows, "one-query-each", "there are {} for {}", len(q), rows)
    used = lengths_k
    if seqused_k is not None:
        used = host(f, q, "seqused_k", seqused_k, (rows,))
        room = lengths_k
        if block_table is not None and block_table.dim() == 2:
            room = [block_table.shape[1] * k.shape[1]] * rows
        if used and room:
            within(f, "seqused-range", "seqused_k", used, room)
    if leftpad_k is not None:
        f.need(not paged, "leftpad-paged", "both are given")
        skipped = host(f, q, "leftpad_k", leftpad_k, (rows,))
        if skipped and used:
            within(f, "leftpad-range", "leftpad_k", skipped, used)
    if block_table is not None:
        pages(f, q, k, block_table, rows, used)


def varlen_bwd(
    f: Findings,
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
    max_seqlen_q: int,
    max_seqlen_k: int,
    dropout_p: float,
    _scale: float,
    _zero_tensors: bool,
    _causal: bool,
    _left: int,
    _right: int,
    softcap: float,
    _deterministic: bool,
    _generator: object = None,
    _seed: torch.Tensor | None = None,
) -> None:
    """Check a call of ``varlen_bwd``, the arguments of mha_varlen_bwd."""
    settings(f, dropout_p, softcap, False)
    if not ranks(f, ("q", q, 3), ("k", k, 3), ("v", v, 3), ("out", out, 3), ("dout", dout, 3)):
        return
    heads(f, q.shape[1], k.shape[1], q.shape[2])
    shaped(f, "k", k, *k.shape[:-1], q.shape[2])
    shaped(f, "v", v, *k.shape)
    _gradients(f, q, k, v, out, dout, dq, dk, dv)
    logarithms(f, q, softmax_lse, q.shape[1], len(q))
    _, lengths_q, lengths_k = _packed(f, q, k, cu_seqlens_q, cu_seqlens_k, alibi_slopes)
    longest(f, "max_seqlen_q", max_seqlen_q, lengths_q)
    most_k = longest(f, "max_seqlen_k", max_seqlen_k, lengths_k)
    f.need(most_k > 0, "keys-empty", "max_seqlen_k is {}", most_k)


def apply_rotary(
    f: Findings,
    x: torch.Tensor,
    cos: torch.Tensor,
    sin: torch.Tensor,
    seqlen_offsets: int | torch.Tensor = 0,
    cu_seqlens: torch.Tensor | None = None,
    max_seqlen: int | None = None,
    interleaved: bool = False,  # noqa: ARG001
    inplace: bool = False,  # noqa: ARG001
    conjugate: bool = False,  # noqa: ARG001
) -> None:
    """Check a call of ``flash_attn.ops.triton.rotary.apply_rotary``."""
    if not ranks(f, ("x", x, 4 if cu_seqlens is None else 3), ("cos", cos, 2), ("sin", sin, 2)):
        return
    f.need(x.shape[-1] <= 256, "head-size-256", "it is {}", x.shape[-1])
    f.need(2 * cos.shape[1] <= x.shape[-1], "rotary-size", "it is {}", 2 * cos.shape[1])
    f.need(cos.shape == sin.shape, "rotary-shape", "{} and {}", tuple(cos.shape), tuple(sin.shape))
    most = x.shape[1]
    if cu_seqlens is not None:
        lengths = starts(f, "cu_seqlens", cu_seqlens.tolist(), len(x))
        most = longest(f, "max_seqlen", max_seqlen, lengths)
    f.need(len(cos) >= most, "rotary-rows", "they have {} for {}", len(cos), most)
    offsets: list[int] = (
        seqlen_offsets.tolist() if isinstance(seqlen_offsets, torch.Tensor) else [seqlen_offsets]
    )
    f.need(min(offsets, default=0) >= 0, "rotary-offset-negative", "they are {}", offsets)
    end = max(offsets, default=0) + most
    f.need(end <= len(cos), "rotary-offset-past", "they reach {} of {} rows", end, len(cos))


def _dense(
    f: Findings,
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    alibi_slopes: torch.Tensor | None,
) -> None:
    batch(f, len(q))
    heads(f, q.shape[2], k.shape[2], q.shape[3])
    shaped(f, "k", k, len(q), k.shape[1], k.shape[2], q.shape[3])
    shaped(f, "v", v, *k.shape)
    alibi(f, q, alibi_slopes, len(q), q.shape[2])


def _packed(
    f: Findings,
    q: torch.Tensor,
    k: torch.Tensor | None,
    cu_seqlens_q: torch.Tensor,
    cu_seqlens_k: torch.Tensor,
    alibi_slopes: torch.Tensor | None,
) -> tuple[int, list[int] | None, list[int] | None]:
    """Return how many sequences there are and their lengths, None where unusable."""
    rows = int(cu_seqlens_q.numel()) - 1 if isinstance(cu_seqlens_q, torch.Tensor) else 0
    batch(f, rows)
    values_q = host(f, q, "cu_seqlens_q", cu_seqlens_q, (rows + 1,))
    values_k = host(f, q, "cu_seqlens_k", cu_seqlens_k, (rows + 1,))
    lengths_q = starts(f, "cu_seqlens_q", values_q, len(q)) if values_q else None
    lengths_k = None
    if values_k:
        lengths_k = starts(f, "cu_seqlens_k", values_k, None if k is None else len(k))
    alibi(f, q, alibi_slopes, rows, q.shape[1])
    return rows, lengths_q, lengths_k


def _gradients(
    f: Findings,
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    out: torch.Tensor,
    dout: torch.Tensor,
    dq: torch.Tensor | None,
    dk: torch.Tensor | None,
    dv: torch.Tensor | None,
) -> None:
    shaped(f, "out", out, *q.shape)
    shaped(f, "dout", dout, *q.shape)
    gradients = (("dq", dq), ("dk", dk), ("dv", dv))
    for (name, gradient), like in zip(gradients, (q, k, k), strict=True):
        shaped(f, name, gradient, *like.shape)
    named = (("q", q), ("k", k), ("v", v), ("out", out), ("dout", dout), *gradients)
    floats(f, q, named)
    written(f, *gradients)
