"""The index guard: every index is held against its table before a kernel sees it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeAlias

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from fuzz.worker.guard.place import Place, watched

aten = torch.ops.aten
Check: TypeAlias = Callable[[str, tuple[Any, ...]], None]


class OutOfBounds(IndexError):
    """An index lies outside the table it selects from; the message names both."""


@contextmanager
def guarded(*models: torch.nn.Module) -> Iterator[Place]:
    """Check every indexing operation of the body before its kernel runs.

    Works on every device; on one that runs asynchronously each check waits for it. Costs as much
    again as a small forward, most of it for being a dispatch mode at all.

    Args:
        models: whose modules are named in messages.

    Raises:
        OutOfBounds: an index passed its table, or a scatter's mask and source differ in number.
    """
    with watched(*models) as place, _Kernels(place), _Functions(place):
        yield place


class _Kernels(TorchDispatchMode):
    """Sees the operations as kernels get them."""

    def __init__(self, place: Place) -> None:
        super().__init__()
        self._place = place

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        check = _TABLE.get(func)
        if check is not None:
            self._place.name_in(lambda: check(_name(func), args), OutOfBounds)
        return func(*args, **(kwargs or {}))


class _Functions(TorchFunctionMode):
    """Sees what is taken apart before it reaches a kernel.

    ``take_along_dim`` wraps indices that are out of range on CPU and says nothing.
    """

    def __init__(self, place: Place) -> None:
        super().__init__()
        self._place = place

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if func in (torch.take_along_dim, torch.Tensor.take_along_dim):
            given = _arguments(args, kwargs or {}, ("input", "indices", "dim"))
            self._place.name_in(lambda: _along(given), OutOfBounds)
        return func(*args, **(kwargs or {}))


def _arguments(
    args: tuple[Any, ...], kwargs: dict[str, Any], names: tuple[str, ...]
) -> tuple[Any, ...]:
    rest = [kwargs.get(name) for name in names[len(args) :]]
    return (*args, *rest)


def _along(given: tuple[Any, ...]) -> None:
    table, index, dimension = given
    rows = table.numel() if dimension is None else table.shape[dimension]
    _within("take_along_dim", table, index, rows, dimension or 0, wraps=False)


def _index(name: str, args: tuple[Any, ...]) -> None:
    table, dimension = args[0], 0
    for index in args[1]:
        if index is not None and index.dtype in (torch.bool, torch.uint8):
            # A mask covers as many dimensions as it has itself.
            dimension += index.ndim
            continue
        if index is not None and dimension < table.ndim:
            _within(name, table, index, table.shape[dimension], dimension, wraps=True)
        dimension += 1


def _along_dimension(name: str, args: tuple[Any, ...]) -> None:
    table, dimension, index = args[:3]
    rows = table.shape[dimension] if table.ndim else 1
    _within(name, table, index, rows, dimension, wraps=False)


def _embedding(name: str, args: tuple[Any, ...]) -> None:
    _within(name, args[0], args[1], args[0].shape[0], 0, wraps=False)


def _take(name: str, args: tuple[Any, ...]) -> None:
    _within(name, args[0], args[1], args[0].numel(), 0, wraps=True)


def _masked_scatter(name: str, args: tuple[Any, ...]) -> None:
    table, mask, source = args[:3]
    wanted = int(mask.expand(torch.broadcast_shapes(table.shape, mask.shape)).sum())
    if wanted == source.numel():
        return
    what = "too few: it reads past them" if wanted > source.numel() else "the rest is dropped"
    raise OutOfBounds(
        f"a mask of {wanted} elements takes from a source of {source.numel()} ({what}): {name} on "
        f"{_shape(table)} with {_shape(mask)} and {_shape(source)}"
    )


def _within(
    name: str, table: torch.Tensor, index: torch.Tensor, rows: int, dimension: int, wraps: bool
) -> None:
    if index.numel() == 0 or index.is_meta:
        return
    low, high = (int(x) for x in torch.aminmax(index))
    if high < rows and low >= (-rows if wraps else 0):
        return
    wrong = high if high >= rows else low
    raise OutOfBounds(
        f"index {wrong} passed a table of {rows} rows (dimension {dimension}): {name} on "
        f"{_shape(table)} by {_shape(index)} with indices from {low} to {high}"
    )


def _shape(tensor: torch.Tensor) -> str:
    return f"{'x'.join(str(n) for n in tensor.shape) or 'scalar'} {str(tensor.dtype)[6:]}"


def _name(func: Any) -> str:
    return str(func).removeprefix("aten.").rpartition(".")[0]


def _table() -> dict[Any, Check]:
    checks: dict[Check, tuple[str, ...]] = {
        _index: (
            "index",
            "_unsafe_index",
            "index_put",
            "index_put_",
            "_index_put_impl_",
            "_unsafe_index_put",
        ),
        _along_dimension: (
            "index_select",
            "index_copy",
            "index_copy_",
            "index_add",
            "index_add_",
            "index_fill",
            "index_fill_",
            "index_reduce",
            "index_reduce_",
            "gather",
            "scatter",
            "scatter_",
            "scatter_add",
            "scatter_add_",
            "scatter_reduce",
            "scatter_reduce_",
        ),
        _embedding: ("embedding",),
        _take: ("take", "put", "put_"),
        _masked_scatter: ("masked_scatter", "masked_scatter_"),
    }
    return {
        getattr(packet, overload): check
        for check, names in checks.items()
        for packet in (getattr(aten, name, None) for name in names)
        if packet is not None
        for overload in packet.overloads()
    }


_TABLE: Final = _table()
