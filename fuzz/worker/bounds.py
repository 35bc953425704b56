"""Explaining an index error: which index passed which table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

aten = torch.ops.aten


class OutOfBounds(IndexError):
    """An index lies outside the table it selects from; the message names both."""


class IndexBounds(TorchDispatchMode):
    """Checks every indexing operation of the body before its kernel runs.

    Costs as much again as a small forward, so it is used to explain a failure that has
    happened, by running the case once more.
    """

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if func is aten.index.Tensor:
            _check_index(args[0], args[1])
        elif func is aten.embedding.default:
            _check(args[1], args[0].shape[0], 0)
        elif func in (aten.index_select.default, aten.gather.default):
            _check(args[2], args[0].shape[args[1]], args[1])
        return func(*args, **(kwargs or {}))


def _check_index(table: torch.Tensor, indices: list[torch.Tensor | None]) -> None:
    dimension = 0
    for index in indices:
        if index is not None and index.dtype in (torch.bool, torch.uint8):
            dimension += index.ndim
            continue
        if index is not None:
            _check(index, table.shape[dimension], dimension, wraps=True)
        dimension += 1


def _check(index: torch.Tensor, rows: int, dimension: int, wraps: bool = False) -> None:
    if index.numel() == 0:
        return
    low, high = (int(x) for x in torch.aminmax(index))
    lowest = -rows if wraps else 0
    if high >= rows or low < lowest:
        wrong = high if high >= rows else low
        raise OutOfBounds(f"index {wrong} passed a table of {rows} rows (dimension {dimension})")
