"""The lanes: exact, where everything that asks for float32 gets float64, and the native ones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import torch

from fuzz.worker.widen import widened

LOW: Final = {"float16": torch.float16, "bfloat16": torch.bfloat16}
"""The lanes in which results are judged by :mod:`fuzz.worker.budget`."""


@contextmanager
def lane(dtype: str) -> Iterator[None]:
    """Run the body in the lane ``dtype``, without gradients; lanes can be nested.

    Args:
        dtype: one of :data:`fuzz.target.DTYPES`. The default dtype of the native lanes is float32,
            as it is for a caller of a model in half precision.
    """
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64 if dtype == "exact" else torch.float32)
    try:
        with torch.no_grad(), widened(dtype == "exact"):
            yield
    finally:
        torch.set_default_dtype(before)


def tolerance(dtype: str) -> float:
    """Return how far two results may differ, as ``max|d| / (1 + max|ref|)``.

    exact: noise over 30,197 cases of 11 families stayed below 5.5e-12 and the weakest real
    defect seen was 3e-7. float32: rounding noise is near 1e-6, and 2e-3 hid a real bug that
    1e-4 found. float16 and bfloat16: for a single rotation and for saying where a wrong value
    begins (whole results are judged by :mod:`fuzz.worker.budget`): the table, the products and
    their sum are rounded to half a unit each, which is at most 1.5 units of sqrt(2) times the
    largest element.
    """
    if dtype in LOW:
        return 4.0 * torch.finfo(LOW[dtype]).eps
    return 1e-9 if dtype == "exact" else 1e-4


def gradient_tolerance(dtype: str) -> float:
    """Return how far two gradients of one parameter may differ, measured as in :func:`tolerance`.

    exact: as results do; noise stayed below 4e-13. float32: every implementation, held against
    float64, was off by up to 1.3e-3 in a gradient of hot weights (gain 3), and two may differ by
    the sum. Finding defects of gradients is the exact lane's work.
    """
    return tolerance(dtype) if dtype == "exact" else 3e-3


def angle_noise(dtype: str, position: float) -> float:
    """Return how far the cosine of an angle at a position may be off by rounding alone.

    The angle is a product that reaches ``position`` radians, in float32 also where weights are in
    half precision; it is off by half a unit in its last place, and so is the frequency it is made
    of.
    """
    eps = torch.finfo(torch.float64 if dtype == "exact" else torch.float32).eps
    return 2.0 * eps * position
