"""The ways in which transformers computes a mixture of experts (5.0 and later)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


def ways(model: nn.Module) -> tuple[str, ...]:
    """Return the other ways in which a model's experts can be computed in float64.

    Of the grouped one transformers' own stand-in for the kernel is used, where there is one: the
    kernel knows no float64.
    """
    # Set by transformers on experts that can be computed in several ways.
    if not any(hasattr(m, "has_gate") and hasattr(m, "is_transposed") for m in model.modules()):
        return ()
    from transformers.integrations import moe

    return tuple(
        name
        for name in ("batched_mm", "grouped_mm")
        if name in moe.ALL_EXPERTS_FUNCTIONS
        and (name == "batched_mm" or hasattr(moe, "_can_use_grouped_mm"))
    )


@contextmanager
def without_grouped_kernel() -> Iterator[None]:
    """Have grouped products computed by transformers' own stand-in for the kernel."""
    from transformers.integrations import moe

    kernel = getattr(moe, "_can_use_grouped_mm", None)
    if kernel is None:
        yield
        return
    moe._can_use_grouped_mm = lambda *_, **__: False
    try:
        yield
    finally:
        moe._can_use_grouped_mm = kernel
