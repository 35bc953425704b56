"""The ways in which transformers computes a mixture of experts (5.0 and later)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

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

    names = ["batched_mm"]
    if hasattr(moe, "_can_use_grouped_mm"):
        names.append("grouped_mm")
    return tuple(n for n in names if n in moe.ALL_EXPERTS_FUNCTIONS and _takes(model, n))


def _takes(model: Any, name: str) -> bool:
    """Tell whether the whole model may be asked for it: some have it in a part of them alone."""
    try:
        return bool(model.get_correct_experts_implementation(name) == name)
    except (ValueError, ImportError):
        return False


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
