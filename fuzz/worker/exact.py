"""The lanes: exact, where everything that asks for float32 gets float64, and the native ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import torch
from torch.overrides import TorchFunctionMode

LOW: Final = {"float16": torch.float16, "bfloat16": torch.bfloat16}
"""The lanes in which results are judged by :mod:`fuzz.worker.budget`."""

_widening: list[bool] = [False]


class _Widen(TorchFunctionMode):
    """Rewrites every request for float32 into one for float64.

    ``model.double()`` is not enough: norms, rotary embeddings and softmax cast to float32
    inside, whatever the weights are.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if not _widening[-1]:
            # A native lane within the exact one.
            return func(*args, **kwargs)
        if func is torch.Tensor.float:
            return args[0].double()
        if func is torch.conv3d and not kwargs:
            product = _as_product(*args)
            if product is not None:
                return product
        # A loop and not any(): this runs for every torch call of every case.
        for a in args:
            if a is torch.float32:
                args = tuple(torch.float64 if x is torch.float32 else x for x in args)
                break
        if kwargs and kwargs.get("dtype") is torch.float32:
            kwargs = {**kwargs, "dtype": torch.float64}
        return func(*args, **kwargs)


def _as_product(
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    _stride: Any = 1,
    padding: Any = 0,
    *_: Any,
) -> torch.Tensor | None:
    """Compute a convolution that sees each input once and whole as the matrix product that it is.

    Such is the embedding of patches. On a CPU the kernel for float64 takes 8 ms for what takes
    0.1 ms this way, a fifth of all time.

    Returns:
        None for any other convolution.
    """
    if x.ndim != 5 or x.shape[1:] != weight.shape[1:] or padding not in (0, (0, 0, 0)):
        return None
    out = torch.nn.functional.linear(x.flatten(1), weight.flatten(1), bias)
    return out[:, :, None, None, None]


@contextmanager
def lane(dtype: str) -> Iterator[None]:
    """Run the body in the lane ``dtype``, without gradients; lanes can be nested.

    Args:
        dtype: one of :data:`fuzz.target.DTYPES`. The default dtype of the native lanes is float32,
            as it is for a caller of a model in half precision.
    """
    before = torch.get_default_dtype()
    _widening.append(dtype == "exact")
    torch.set_default_dtype(torch.float64 if dtype == "exact" else torch.float32)
    try:
        with torch.no_grad():
            if dtype == "exact":
                with _Widen():
                    yield
            else:
                yield
    finally:
        _widening.pop()
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
