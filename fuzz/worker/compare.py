"""Comparing results."""

from __future__ import annotations

import torch

from fuzz.worker.failure import Failed


def distance(value: torch.Tensor, reference: torch.Tensor) -> float:
    """Return ``max|value - reference| / (1 + max|reference|)``; NaN anywhere gives NaN.

    Both tensors have the same shape.
    """
    if reference.numel() == 0:
        return 0.0
    gap = (value - reference).abs().max()
    return float(gap / (1.0 + reference.abs().max()))


def require_close(
    value: torch.Tensor, reference: torch.Tensor, tolerance: float, leg: str, names: str
) -> None:
    """Raise :class:`Failed` unless both agree.

    Args:
        value: any shape, first dimension = tokens or steps.
        reference: the same shape.
        tolerance: see :func:`fuzz.worker.exact.tolerance`.
        leg: the comparison, as it stands in the signature.
        names: what is compared, for the message, e.g. ``"row 1, logits"``.
    """
    if value.shape != reference.shape:
        raise Failed(leg, f"{names}: shape {tuple(value.shape)}, expected {tuple(reference.shape)}")
    # Written this way round so that NaN fails.
    if distance(value, reference) <= tolerance:
        return
    per_token = (value - reference).abs().flatten(1).amax(1)
    bad = ~(per_token <= tolerance * (1.0 + reference.abs().max()))
    first = int(bad.nonzero()[0]) if bool(bad.any()) else 0
    if not bool(torch.isfinite(value).all()):
        raise Failed(leg, f"{names}: not finite from token {first} on")
    raise Failed(
        leg,
        f"{names}: differ by {float(per_token.max()):.2g} (tolerance {tolerance:.0e}), "
        f"first at token {first} of {len(value)}, {int(bad.sum())} of {len(value)} tokens",
    )
