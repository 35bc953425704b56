"""Scaled rotary embeddings, written again in float64 from their papers, with numpy only.

Sources: linear scaling, arXiv:2306.15595, section 2.3; dynamic NTK-aware scaling and YaRN,
arXiv:2309.00071, sections 3.1 to 3.4 and appendix B.2, with the ramp over pairs instead of
wavelengths as in its authors' code; LongRoPE, arXiv:2402.13753, section 3.2, with the lengthening
of its authors' code; Llama 3.1, arXiv:2407.21783, section 3.4, with the ramp of its authors' code.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from fuzz.worker.reference import Floats

KINDS: Final = ("default", "linear", "dynamic", "yarn", "longrope", "llama3")


def frequencies(
    kind: str, theta: float, dim: int, table: Mapping[str, Any], maximum: int, reach: int
) -> tuple[Floats, float]:
    """Return the angle of each pair per position, shape (dim // 2,), and the factor on cos and sin.

    Args:
        kind: one of :data:`KINDS`.
        theta: base of the frequencies.
        dim: how many elements of a head turn.
        table: the config's parameters of the scaling.
        maximum: the config's ``max_position_embeddings``, in tokens.
        reach: largest position so far plus one.

    Raises:
        ValueError: the kind is unknown.
    """
    exponents = np.arange(0, dim, 2, dtype=np.float64) / dim
    plain: Floats = theta**-exponents
    factor = float(table.get("factor") or 1.0)
    original = int(table.get("original_max_position_embeddings") or maximum)
    if kind == "default":
        return plain, 1.0
    if kind == "linear":
        return plain / factor, 1.0
    if kind == "dynamic":
        stretch = max(1.0, factor * reach / maximum - (factor - 1.0))
        base = theta * stretch ** (dim / (dim - 2))
        return base**-exponents, 1.0
    if kind == "yarn":
        kept = _yarn_kept(plain, theta, dim, table, original)
        return plain * kept + plain / factor * (1.0 - kept), _yarn_length(table, factor)
    if kind == "longrope":
        divisors = table["long_factor" if reach > original else "short_factor"]
        given = table.get("attention_factor")
        scale = maximum / original if table.get("factor") is None else factor
        length = math.sqrt(1.0 + math.log(max(1.0, scale)) / math.log(original))
        return plain / np.array(divisors, np.float64), float(given or length)
    if kind == "llama3":
        turns = original * plain / (2.0 * math.pi)
        low, high = float(table["low_freq_factor"]), float(table["high_freq_factor"])
        kept = np.clip((turns - low) / (high - low), 0.0, 1.0)
        return plain * kept + plain / factor * (1.0 - kept), 1.0
    raise ValueError(f"rope_type: expected one of {', '.join(KINDS)}, got {kind!r}")


def score_scale(head: int, kind: str, table: Mapping[str, Any]) -> float:
    """Return what latent attention multiplies the product of a query and a key by.

    One over the square root of all of the head (arXiv:2405.04434, section 2.1), times what YaRN
    lengthens queries and keys by, each once (arXiv:2309.00071, equation 22): DeepSeek-V3's authors
    take it into the scores, since only a part of a head turns, with the weight ``mscale_all_dim``.

    Args:
        head: elements of a head, those that turn and the others.
        kind: one of :data:`KINDS`.
        table: the config's parameters of the scaling.
    """
    weight, factor = float(table.get("mscale_all_dim") or 0.0), float(table.get("factor") or 1.0)
    return _length(factor, weight if kind == "yarn" else 0.0) ** 2 / math.sqrt(head)


def _yarn_kept(
    plain: Floats, theta: float, dim: int, table: Mapping[str, Any], original: int
) -> Floats:
    """Return each pair's share of its own frequency: 1 for fast pairs, 0 for slow ones."""

    def pair(turns: float) -> float:
        # The pair, with a fraction, that turns so often within the original maximum.
        return dim * math.log(original / (turns * 2.0 * math.pi)) / (2.0 * math.log(theta))

    first, last = pair(table.get("beta_fast") or 32.0), pair(table.get("beta_slow") or 1.0)
    if table.get("truncate", True):
        first, last = math.floor(first), math.ceil(last)
    first, last = max(first, 0.0), min(last, dim - 1.0)
    width = last - first or 0.001
    kept: Floats = 1.0 - np.clip((np.arange(len(plain)) - first) / width, 0.0, 1.0)
    return kept


def _yarn_length(table: Mapping[str, Any], factor: float) -> float:
    """Return YaRN's factor on cosine and sine (equation 22; in DeepSeek-V3's form a quotient)."""
    if given := table.get("attention_factor"):
        return float(given)
    one, all_of_it = table.get("mscale"), table.get("mscale_all_dim")
    if not (one and all_of_it):
        return _length(factor, 1.0)
    return _length(factor, one) / _length(factor, all_of_it)


def _length(factor: float, weight: float) -> float:
    return 1.0 if factor <= 1.0 else 0.1 * weight * math.log(factor) + 1.0
