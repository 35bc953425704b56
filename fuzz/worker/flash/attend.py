"""Attention of sequences as flash-attn defines it, forward and backward, in plain torch.

Sequences of one length are attended together: every tensor may have leading dimensions, ``...``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch


@dataclass(frozen=True, slots=True)
class Scoring:
    """How a score is made of a query and a key, and which keys a query sees.

    Query i stands at key i + keys - queries (the last query at the last key).

    Attributes:
        scale: factor of the dot product.
        left: keys a query sees to the left of its own, -1 for all.
        right: keys it sees to the right of its own, -1 for all.
        softcap: bound of a score (softcap * tanh(score / softcap)), none where not positive.
    """

    scale: float
    left: int
    right: int
    softcap: float

    @property
    def positional(self) -> bool:
        """Whether what a query sees depends on where it stands (``Is_causal || Is_local``)."""
        return self.left >= 0 or self.right >= 0


def scoring(
    scale: float, causal: bool, left: int, right: int, softcap: float, keys: int
) -> Scoring:
    """Return the scoring that flash-attn makes of its arguments.

    Args:
        scale: factor of the dot product.
        causal: sets ``right`` to 0, whatever it was.
        left: window to the left, inclusive, negative for none.
        right: window to the right.
        softcap: bound of a score.
        keys: the longest sequence of keys, or the rows of a cache.

    Source: mha_fwd, mha_varlen_fwd (windows of at least ``keys`` are dropped) and
    set_params_fprop in csrc/flash_attn/flash_api.cpp.
    """
    left = -1 if left >= keys else max(left, -1)
    right = -1 if right >= keys else max(right, -1)
    if causal:
        right = 0
    if left >= 0 > right:
        # Not the same as no bound where there are more queries than keys: the kernel's own way.
        right = keys
    return Scoring(scale, left, right, softcap)


def accumulator(dtype: torch.dtype) -> torch.dtype:
    """Return what is computed in for inputs of a dtype: float64 for float64, else float32."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def attend(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    rule: Scoring,
    slopes: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Attend sequences of queries to sequences of keys.

    Args:
        q: (..., queries, heads, head size), any floating dtype.
        k: (..., keys, key heads, head size); heads is a multiple of key heads.
        v: as ``k``.
        rule: how scores are made.
        slopes: (..., heads), subtracts slope * distance from a score (ALiBi), or None.

    Returns:
        The output, shaped and typed as ``q``, and the logarithm of each row's sum of exponentials,
        (..., heads, queries) in :func:`accumulator`'s dtype. A query that sees no key gets 0 and
        +inf (compute_attn_1rowblock in src/flash_fwd_kernel.h, normalize_softmax_lse in
        src/softmax.h). Under ALiBi with a causal mask the kernel's own logarithm lacks the part
        that is the same for a whole row; outputs and gradients are equal.
    """
    wide = accumulator(q.dtype)
    groups = q.shape[-2] // k.shape[-2]
    scores, _ = scores_of(q.to(wide), per_head(k, groups, wide), rule, slopes)
    lse = torch.logsumexp(scores, -1)
    lse = lse.masked_fill(lse == -math.inf, math.inf)
    weights = torch.exp(scores - lse[..., None])
    out = torch.einsum("...hij,...jhd->...ihd", weights, per_head(v, groups, wide))
    return out.to(q.dtype), lse


def attend_backward(
    dout: torch.Tensor,
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    out: torch.Tensor,
    lse: torch.Tensor,
    rule: Scoring,
    slopes: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the gradients of ``q``, ``k`` and ``v``, in their shapes and dtypes.

    Explicit, since flash-attn calls it below autograd. As in the kernel the weights come from the
    logarithm that the forward pass kept, and the row sums from its output:
    P = exp(S - lse), dV = P^T dO, dS = P (dO V^T - rowsum(dO O)), dQ = dS K, dK = dS^T Q
    (compute_dq_dk_dv_1colblock in src/flash_bwd_kernel.h, arXiv:2205.14135, algorithm 4).

    Args:
        dout: gradient of the output, shaped as ``q``.
        q: see :func:`attend`.
        k: see :func:`attend`.
        v: see :func:`attend`.
        out: what :func:`attend` returned.
        lse: what :func:`attend` returned.
        rule: how scores are made.
        slopes: see :func:`attend`.
    """
    wide = accumulator(q.dtype)
    groups = q.shape[-2] // k.shape[-2]
    queries, dout = q.to(wide), dout.to(wide)
    keys, values = per_head(k, groups, wide), per_head(v, groups, wide)
    scores, inner = scores_of(queries, keys, rule, slopes)
    weights = torch.exp(scores - lse.to(wide)[..., None])
    row_sums = torch.einsum("...ihd,...ihd->...hi", dout, out.to(wide))
    dweights = torch.einsum("...ihd,...jhd->...hij", dout, values)
    dscores = weights * (dweights - row_sums[..., None]) * rule.scale
    if inner is not None:
        dscores = dscores * inner
    dq = torch.einsum("...hij,...jhd->...ihd", dscores, keys)
    dk = torch.einsum("...hij,...ihd->...jhd", dscores, queries)
    dv = torch.einsum("...hij,...ihd->...jhd", weights, dout)
    return dq.to(q.dtype), _per_group(dk, groups).to(k.dtype), _per_group(dv, groups).to(v.dtype)


def scores_of(
    q: torch.Tensor, k: torch.Tensor, rule: Scoring, slopes: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Return scores, (..., heads, queries, keys), -inf where unseen, and the softcap's derivative.

    Args:
        q: (..., queries, heads, head size).
        k: (..., keys, heads, head size).
        rule: how scores are made.
        slopes: see :func:`attend`.
    """
    scores = torch.einsum("...ihd,...jhd->...hij", q, k) * rule.scale
    inner = None
    if rule.softcap > 0:
        bent = torch.tanh(scores / rule.softcap)
        scores = rule.softcap * bent
        inner = 1 - bent * bent
    if slopes is None and not rule.positional:
        return scores, inner
    queries, keys = q.shape[-3], k.shape[-3]
    own = torch.arange(queries, device=q.device)[:, None] + (keys - queries)
    key = torch.arange(keys, device=q.device)[None]
    if slopes is not None:
        # The bias comes after the softcap: Mask.apply_mask in src/mask.h.
        scores = scores - slopes.to(q.dtype)[..., None, None] * (own - key).abs()
    unseen = torch.zeros(queries, keys, dtype=torch.bool, device=q.device)
    if rule.left >= 0:
        unseen = unseen | (key < own - rule.left)
    if rule.right >= 0:
        unseen = unseen | (key > own + rule.right)
    return scores.masked_fill(unseen, -math.inf), inner


def per_head(kv: torch.Tensor, groups: int, dtype: torch.dtype) -> torch.Tensor:
    """Return keys or values once for each head of the queries."""
    return kv.to(dtype).repeat_interleave(groups, dim=-2) if groups > 1 else kv.to(dtype)


def _per_group(gradient: torch.Tensor, groups: int) -> torch.Tensor:
    *sequences, heads, size = gradient.shape
    return gradient.reshape(*sequences, heads // groups, groups, size).sum(-2)
