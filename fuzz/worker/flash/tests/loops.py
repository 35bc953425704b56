"""Attention by loops over heads, queries and keys in float64, written apart from the reference."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def looped(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    scale: float,
    causal: bool = False,
    window: tuple[int, int] = (-1, -1),
    softcap: float = 0.0,
    slopes: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return output, (queries, heads, size), and logarithms, (heads, queries).

    As flash_attn_func's docstring says it: query i sees keys from i + keys - queries - left to
    i + keys - queries + right, a query that sees none gives 0 (and +inf).
    """
    import torch

    queries, heads, size = q.shape
    keys, key_heads = k.shape[:2]
    out = torch.zeros(queries, heads, size, dtype=torch.float64)
    lse = torch.full((heads, queries), math.inf, dtype=torch.float64)
    for head in range(heads):
        of = head * key_heads // heads
        for i in range(queries):
            own = i + keys - queries
            scores = {}
            for j in range(keys):
                if causal and j > own:
                    continue
                if window[0] >= 0 and j < own - window[0]:
                    continue
                if window[1] >= 0 and not causal and j > own + window[1]:
                    continue
                score = scale * sum(float(q[i, head, c]) * float(k[j, of, c]) for c in range(size))
                if softcap:
                    score = softcap * math.tanh(score / softcap)
                if slopes is not None:
                    score -= float(slopes[head]) * abs(own - j)
                scores[j] = score
            if not scores:
                continue
            top = max(scores.values())
            total = sum(math.exp(s - top) for s in scores.values())
            lse[head, i] = top + math.log(total)
            for j, score in scores.items():
                out[i, head] += math.exp(score - top) / total * v[j, of].double()
    return out, lse
