"""Comparing results."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from fuzz.worker.failure import Failed

_held = [0]


def hold() -> None:
    """Note that a property has held something against its claim.

    What compares tensors notes it by itself; a property that looks at something else calls this.
    """
    _held[0] += 1


def held() -> int:
    """Return how often :func:`hold` was called since this was last asked."""
    count, _held[0] = _held[0], 0
    return count


def distance(value: torch.Tensor, reference: torch.Tensor) -> float:
    """Return ``max|value - reference| / (1 + max|reference|)``; NaN anywhere gives NaN.

    Both tensors have the same shape.
    """
    if reference.numel() == 0:
        return 0.0
    hold()
    gap = (value - reference).abs().max()
    return float(gap / (1.0 + reference.abs().max()))


def distances(value: torch.Tensor, reference: torch.Tensor) -> list[float]:
    """Return the :func:`distance` of each token, (tokens, width) against the same shape."""
    hold()
    gaps = (value - reference).abs().amax(1)
    return [float(d) for d in (gaps / (1.0 + reference.abs().amax(1))).tolist()]


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


def require_close_gradients(
    value: Mapping[str, torch.Tensor],
    reference: Mapping[str, torch.Tensor],
    tolerance: float,
    leg: str,
) -> None:
    """Raise :class:`Failed` unless the gradients of every parameter agree.

    A parameter without a gradient counts as one whose gradient is 0.

    Args:
        value: by the name of the parameter.
        reference: by the name of the parameter.
        tolerance: see :func:`fuzz.worker.exact.tolerance`; holds for each parameter by itself.
        leg: the comparison, as it stands in the signature.
    """
    sizes = {}
    for name in dict.fromkeys((*reference, *value)):
        one = value[name] if name in value else torch.zeros_like(reference[name])
        other = reference[name] if name in reference else torch.zeros_like(one)
        sizes[name] = distance(one, other)
    # Written this way round so that NaN fails.
    bad = {name: size for name, size in sizes.items() if not size <= tolerance}
    if not bad:
        return
    # NaN is the worst, and max() would pass over it.
    worst = max(bad, key=lambda name: (bad[name] != bad[name], bad[name]))
    raise Failed(
        leg,
        f"the gradient of {worst} differs by {bad[worst]:.2g} (tolerance {tolerance:.0e}), "
        f"that of {len(bad)} of {len(sizes)} parameters does",
    )
