"""Defects of what a cache holds between two pieces of a sequence."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch

from fuzz.worker import release

Rows = Callable[[torch.Tensor, int], None]


def slot_overwritten(model: Any) -> None:
    """Lose what the last token fed before had written: its slot is overwritten with zeros."""

    def zero(rows: torch.Tensor, seen: int) -> None:
        rows[:, :, seen - 1] = 0

    _before_each_piece(model, zero)


def rows_exchanged(model: Any) -> None:
    """Hand each row of a batch the keys and values of the row before it."""

    def roll(rows: torch.Tensor, _seen: int) -> None:
        rows.copy_(rows.roll(1, 0))

    _before_each_piece(model, roll)


def guesses_kept(model: Any) -> None:
    """Leave tokens in the cache that were guessed and turned down."""

    def hold(_module: object, _args: object, kwargs: dict[str, Any]) -> None:
        cache = kwargs.get("past_key_values")
        if cache is not None and hasattr(cache, "crop"):
            cache.crop = lambda *_args: None

    release.text_model(model).register_forward_pre_hook(hold, with_kwargs=True)


def _before_each_piece(model: Any, change: Rows) -> None:
    """Change keys and values of every layer before a piece of a sequence that has begun."""

    def look(_module: object, _args: object, kwargs: dict[str, Any]) -> None:
        cache = kwargs.get("past_key_values")
        seen = release.seen_tokens(cache)
        if seen:
            for rows in _tensors(cache):
                change(rows, min(seen, rows.shape[2]))

    release.text_model(model).register_forward_pre_hook(look, with_kwargs=True)


def _tensors(cache: Any) -> Iterator[torch.Tensor]:
    """Yield keys and values of a cache's layers, each (rows, heads, tokens, head_dim)."""
    if hasattr(cache, "layers"):
        found = [x for layer in cache.layers for x in (_of(layer, "keys"), _of(layer, "values"))]
    else:
        found = [*getattr(cache, "key_cache", ()), *getattr(cache, "value_cache", ())]
    yield from (x for x in found if isinstance(x, torch.Tensor) and x.ndim == 4 and x.shape[2])


def _of(layer: Any, name: str) -> Any:
    return getattr(layer, name, None)
