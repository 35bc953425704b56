"""Every request for float32 becomes one for float64.

``model.double()`` is not enough: norms, rotary embeddings and softmax cast to float32 inside,
whatever the weights are. A mode of torch sees every request, but it is asked at each of torch's
calls, which is a third of the time of a small model. Wrappers around the functions that take a
dtype cost next to nothing, and miss who took such a function before it was wrapped. So cases are
checked with the wrappers, and what is not a pass is checked again with the mode, which decides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, Final

import torch
from torch.overrides import TorchFunctionMode

_REQUESTS: Final = (
    (
        torch,
        "arange as_tensor asarray cumprod cumsum empty empty_like empty_strided eye full full_like "
        "linspace log_softmax logspace mean nanmean nansum norm ones ones_like prod rand rand_like "
        "randn randn_like softmax sum tensor zeros zeros_like",
    ),
    (
        torch.Tensor,
        "cumprod cumsum float log_softmax mean nanmean nansum new_empty new_full new_ones "
        "new_tensor new_zeros norm prod softmax sum to type",
    ),
    (torch.linalg, "matrix_norm norm vector_norm"),
)
"""Functions that can be asked for a dtype. Those of ``torch.nn.functional`` ask these."""

_wanted: list[bool] = [False]
_everywhere: list[bool] = [False]


@contextmanager
def widened(wanted: bool) -> Iterator[None]:
    """Widen requests for float32 inside, or leave them alone; the innermost one says which."""
    _wanted.append(wanted)
    try:
        if not wanted:
            yield
        elif _everywhere[-1]:
            with _Widen():
                yield
        else:
            with _wrappers():
                yield
    finally:
        _wanted.pop()


@contextmanager
def everywhere() -> Iterator[None]:
    """Have what is widened inside see every request, by the mode."""
    _everywhere.append(True)
    try:
        yield
    finally:
        _everywhere.pop()


class _Widen(TorchFunctionMode):
    """Sees every call of torch."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        return _asked_wide(func, args, kwargs or {})


def _asked_wide(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if _wanted[-1]:
        if function is _FLOAT:
            return args[0].double()
        # A loop and not any(): this runs for every call of every case.
        for a in args:
            if a is torch.float32:
                args = tuple(torch.float64 if x is torch.float32 else x for x in args)
                break
        if kwargs and kwargs.get("dtype") is torch.float32:
            kwargs = {**kwargs, "dtype": torch.float64}
    return function(*args, **kwargs)


_FLOAT: Final = torch.Tensor.float
_wrapped: dict[tuple[Any, str], Any] = {}


@contextmanager
def _wrappers() -> Iterator[None]:
    if any(_wanted[:-1]):
        # A lane within a lane: they are in place.
        yield
        return
    if not _wrapped:
        for holder, names in _REQUESTS:
            for name in names.split():
                _wrapped[holder, name] = _wrapper(getattr(holder, name))
    # A method of Tensor's own is put back, one that it inherits is uncovered again.
    own = {(h, n): vars(h)[n] for h, n in _wrapped if n in vars(h)}
    for (holder, name), wrapper in _wrapped.items():
        setattr(holder, name, wrapper)
    try:
        yield
    finally:
        for holder, name in _wrapped:
            if (holder, name) in own:
                setattr(holder, name, own[holder, name])
            else:
                delattr(holder, name)


def _wrapper(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def wide(*args: Any, **kwargs: Any) -> Any:
        return _asked_wide(function, args, kwargs)

    return wide
