"""Defects of the vision tower and of what joins it to the text."""

from __future__ import annotations

from typing import Any

import torch

from fuzz.worker import release
from fuzz.worker.placing import image_token


def vision_leak(model: Any) -> None:
    """Let all images of a call attend to each other: one attention segment for all."""
    tower = release.vision_tower(model)
    if tower is None:
        if release.vision_config(model.config) is not None:
            _blend(model)
        return

    def merge(
        _module: object, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        bounds = kwargs["cu_seqlens"]
        changed = {**kwargs, "cu_seqlens": torch.stack([bounds[0], bounds[-1]])}
        if kwargs.get("max_seqlen") is not None:
            changed["max_seqlen"] = type(kwargs["max_seqlen"])(bounds[-1])
        return args, changed

    for block in release.vision_blocks(tower):
        block.register_forward_pre_hook(merge, with_kwargs=True)


def _blend(model: Any) -> None:
    """Add a hundredth of the mean over all images of a call, where no attention can leak.

    Such towers hold images as a batch, or with masks of their own.
    """

    def blend(_module: object, args: tuple[Any, ...]) -> tuple[Any, ...]:
        features, *rest = args
        return (features + 0.01 * features.flatten(0, -2).mean(0), *rest)

    release.projector(model).register_forward_pre_hook(blend)


def _fitted_features(model: Any) -> None:
    """Do :func:`placeholders_unchecked` where a method of the model gives the features."""
    owner = [m for m in model.modules() if hasattr(m, "get_image_features")][-1]
    compute = owner.get_image_features
    wanted = 0

    def count(_module: object, _args: object, kwargs: dict[str, Any]) -> None:
        nonlocal wanted
        ids = kwargs.get("input_ids")
        wanted = 0 if ids is None else int((ids == image_token(model.config)).sum())

    def fitted(features: Any) -> Any:
        many = isinstance(features, (list, tuple))
        flat = torch.cat(list(features)) if many else features
        flat = flat.flatten(0, -2)
        lack = max(0, wanted - len(flat))
        flat = torch.cat([flat, flat[-1:].expand(lack, -1)])[:wanted]
        return (flat,) if many else flat[None]

    def loose(*args: Any, **kwargs: Any) -> Any:
        out = compute(*args, **kwargs)
        if isinstance(out, (torch.Tensor, list, tuple)):
            return fitted(out)
        out.pooler_output = fitted(out.pooler_output)
        return out

    loose.__wrapped__ = compute  # type: ignore[attr-defined]  # callers look at its signature
    model.register_forward_pre_hook(count, with_kwargs=True)
    owner.get_image_features = loose


def placeholders_unchecked(model: Any) -> None:
    """Hand over exactly as many image features as there are placeholders, made up or dropped."""
    tower = release.vision_tower(model)
    if tower is None and release.vision_config(model.config) is not None:
        _fitted_features(model)
        return
    wanted = 0

    def count(_module: object, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        nonlocal wanted
        ids = kwargs.get("input_ids", args[0] if args else None)
        wanted = 0 if ids is None else int((ids == model.config.image_token_id).sum())

    def fitted(features: torch.Tensor) -> torch.Tensor:
        if len(features) >= wanted:
            return features[:wanted]
        return torch.cat([features, features[-1:].expand(wanted - len(features), -1)])

    def fit(_module: object, _args: object, out: Any) -> Any:
        if isinstance(out, torch.Tensor):
            return fitted(out)
        # Some releases return an output object with the merged features in it, some a tuple.
        if isinstance(out, tuple):
            return (fitted(out[0]), *out[1:])
        out.pooler_output = fitted(out.pooler_output)
        return out

    model.register_forward_pre_hook(count, with_kwargs=True)
    if tower is not None:
        tower.register_forward_hook(fit)
