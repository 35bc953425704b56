"""Defects of the vision tower and of what joins it to the text."""

from __future__ import annotations

from typing import Any

import torch

from fuzz.worker import release


def vision_leak(model: Any) -> None:
    """Let all images of a call attend to each other: one attention segment for all."""
    tower = release.vision_tower(model)
    if tower is None:
        return

    def merge(
        _module: object, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        bounds = kwargs["cu_seqlens"]
        return args, {**kwargs, "cu_seqlens": torch.stack([bounds[0], bounds[-1]])}

    for block in tower.blocks:
        block.register_forward_pre_hook(merge, with_kwargs=True)


def placeholders_unchecked(model: Any) -> None:
    """Hand over exactly as many image features as there are placeholders, made up or dropped."""
    tower = release.vision_tower(model)
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
