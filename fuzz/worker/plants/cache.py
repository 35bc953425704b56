"""Defects of caches, and of what a model remembers beside them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch

from fuzz.worker import release
from fuzz.worker.plants.fed import fed

_LARGER = 1.01
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


def crop_forgotten(model: Any) -> None:
    """Leave a cache as it is when tokens are cropped away."""

    def hold(_module: object, _args: object, kwargs: dict[str, Any]) -> None:
        cache = kwargs.get("past_key_values")
        if cache is not None and hasattr(cache, "crop"):
            cache.crop = lambda _tokens: None

    release.text_model(model).register_forward_pre_hook(hold, with_kwargs=True)


def own_cache_last_key(model: Any) -> None:
    """Lose the last key in the cache that the model makes where it is given none."""

    def lose(_module: object, _args: object, kwargs: dict[str, Any], output: Any) -> None:
        made = getattr(output, "past_key_values", None)
        if kwargs.get("past_key_values") is None and made is not None:
            for keys in _keys(made):
                keys[..., -1:, :] = 0

    # Not of the decoder alone: Idefics makes it around that.
    model.register_forward_hook(lose, with_kwargs=True)


def _keys(cache: Any) -> Iterator[torch.Tensor]:
    layers = getattr(cache, "layers", None)
    found = (
        getattr(cache, "key_cache", ())
        if layers is None
        else (getattr(layer, "keys", None) for layer in layers)
    )
    yield from (keys for keys in found if isinstance(keys, torch.Tensor) and keys.numel())


def quantized_scale(model: Any) -> None:
    """Have quantized caches give back numbers that are one percent too large."""

    def stretch(_module: object, _args: object, kwargs: dict[str, Any]) -> None:
        for layer in getattr(kwargs.get("past_key_values"), "layers", ()):
            if hasattr(layer, "_dequantize"):
                layer._dequantize = lambda kept: kept * _LARGER

    release.text_model(model).register_forward_pre_hook(stretch, with_kwargs=True)


def length_remembered(model: Any) -> None:
    """Go on from where the last prompt ended that the model was given, whichever is continued."""
    remembered = 0

    def move(
        _module: object, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        nonlocal remembered
        seen = release.seen_tokens(kwargs.get("past_key_values"))
        ahead = remembered - seen if seen else 0
        remembered = seen + ahead + int(fed(kwargs).shape[1])
        positions = kwargs.get("position_ids")
        if ahead and isinstance(positions, torch.Tensor):
            kwargs = {**kwargs, "position_ids": positions + ahead}
        return args, kwargs

    release.text_model(model).register_forward_pre_hook(move, with_kwargs=True)
