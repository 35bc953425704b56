"""KV caches: how each kind is made, what a target has none of, and how tokens are taken back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, Final

from fuzz.worker.release import (
    ATTENDING,
    accepts,
    modeling_module,
    sliding_window,
    text_config,
    text_model,
)
from fuzz.worker.subject import Subject, model_of

_RESIDUAL: Final = 4
"""Tokens that a quantized cache keeps as they are before it rounds them, with the rest, at once."""


def lacks(subject: Subject) -> dict[str, str]:
    """Return why the target has not what it lacks, by :attr:`Geometry.lacks`' names."""
    reasons = {}
    types = set(getattr(text_config(subject.config), "layer_types", None) or ())
    if _lossless() is None:
        reasons["quantized"] = "this release's quantized cache is not made of layers"
    elif types - {"full_attention"} or sliding_window(text_config(subject.config)):
        reasons["quantized"] = "quantized caches are for layers of full attention alone"
    if types - set(ATTENDING):
        reasons["crop"] = "no token can be taken out of what layers without keys keep"
    elif subject.family.told_of_tokens == "prefix":
        reasons["crop"] = "prompts are fed whole"
    elif _hybrid(model_of(subject)) is not None:
        reasons["crop"] = "the one class of caches that it runs with cannot be cropped"
    if subject.family.told_of_tokens == "prefix":
        reasons["turn_image"] = "prompts are fed whole"
    elif subject.family.placing == "crossing":
        apart = "its cache keeps images apart from tokens, in layers of other lengths"
        reasons |= dict.fromkeys(("turn_image", "crop", "static", "quantized"), apart)
    elif not takes_static_cache(model_of(subject)):
        reasons["static"] = "this release's model says that it supports none"
    return reasons


def takes_static_cache(model: Any) -> bool:
    """Tell whether a model runs with a static cache, which in 4.45 to 4.53 each says."""
    return bool(getattr(model, "_supports_static_cache", True))


def said_of_lacks(subject: Subject) -> tuple[str, ...]:
    """Return a line for each thing that no case does since the target lacks it, with the reason."""
    said = {"crop": "no cache is cropped", "turn_image": "no second turn has an image"}
    return tuple(
        f"{said.get(name, f'no cache is {name}')}: {why}" for name, why in lacks(subject).items()
    )


def new_cache(kind: str, model: Any, batch: int, length: int) -> Any:
    """Return an empty KV cache, None where the model makes its own.

    Args:
        kind: one of :data:`strategies.case.CACHE_KINDS`.
        model: the model it is for.
        batch: rows.
        length: tokens a static cache can hold.
    """
    import transformers

    config = text_config(model.config)
    if kind in ("own", "dynamic") and (hybrid := _hybrid(model)) is not None:
        return _of_size(hybrid, config, model, batch, length)
    if kind == "own":
        return None
    if kind == "quantized":
        return transformers.Cache(layers=[_lossless()() for _ in range(config.num_hidden_layers)])
    if {*(getattr(config, "layer_types", None) or ())} - set(ATTENDING):
        # Has a state beside keys and values; early releases of Qwen3.5 had a class for it.
        own = [
            cls
            for name, cls in vars(modeling_module(text_model(model))).items()
            if name.endswith("DynamicCache") and name != "DynamicCache"
        ]
        if own:
            return own[0](config=config)
        if kind == "dynamic":
            return transformers.DynamicCache(config=config)
    if kind == "dynamic":
        return transformers.DynamicCache()
    return _of_size(transformers.StaticCache, config, model, batch, length)


def _hybrid(model: Any) -> Any:
    """Return the one class of caches that models with sliding layers ran with up to 4.55, or None.

    One that grows was not for them, and the one of their own making was full after the first
    piece; generate() made this one, of the size that it needed.
    """
    return getattr(modeling_module(text_model(model)), "HybridCache", None)


def _of_size(cls: Any, config: Any, model: Any, batch: int, length: int) -> Any:
    arguments: dict[str, Any] = {"config": config, "max_cache_len": length}
    for name in ("batch_size", "max_batch_size"):
        # Up to 4.55 they take the batch; since 4.56 it follows from the first update.
        if _takes(cls, name):
            arguments[name] = batch
            break
    if _takes(cls, "dtype"):
        arguments["dtype"] = next(model.parameters()).dtype
    if _takes(cls, "device"):
        arguments["device"] = next(model.parameters()).device
    return cls(**arguments)


def _takes(cls: Any, name: str) -> bool:
    """Tell whether a class, or one that it hands its arguments on to (4.54, 4.55), takes one."""
    return any(accepts(c.__init__, name) for c in cls.__mro__ if "__init__" in vars(c))


@cache
def _lossless() -> Any:
    """Return a layer of a quantized cache that keeps what it is given, None in old releases.

    Books are kept by transformers' own code: what is rounded when, what is put before what, how
    many tokens there are. What quanto or hqq make of numbers is theirs, and would hide it.
    """
    from transformers import cache_utils

    if not hasattr(cache_utils, "QuantizedLayer"):
        return None
    as_it_is = {
        "__init__": lambda self: cache_utils.QuantizedLayer.__init__(
            self, residual_length=_RESIDUAL
        ),
        "_quantize": lambda _self, tensor, **_axis: tensor,
        "_dequantize": lambda _self, tensor: tensor,
    }
    return type("LosslessLayer", (cache_utils.QuantizedLayer,), as_it_is)


def as_cache(given: Any) -> Any:
    """Return what a model gave back as a cache; old releases give tuples where they made it."""
    import transformers

    cls: Any = transformers.DynamicCache
    return cls.from_legacy_cache(given) if isinstance(given, tuple) else given


@contextmanager
def taken_back(kept: Any, tokens: int) -> Iterator[None]:
    """Take out of a cache again what is fed to it inside.

    Args:
        kept: the cache.
        tokens: how many tokens that is.
    """
    # Where attention slides, a cache that does not keep the past cannot go back to it.
    if hasattr(kept, "activate_past_recording"):
        kept.activate_past_recording()
    yield
    # Negative: up to 5.12 a positive number is a length to keep, later it is refused.
    kept.crop(-tokens)
