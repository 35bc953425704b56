"""Faults that take the process along, set off by what the model is given."""

from __future__ import annotations

import os
import time
from typing import Any

import torch

from fuzz.worker import device, release

ASSERTION = (
    "Indexing.cu:1553: indexSelectLargeIndex: block: [0,0,0], thread: [0,0,0] "
    "Assertion `srcIndex < srcSelectDimSize` failed.\n"
)


def abort(model: Any) -> None:
    """Abort on an image whose merged grid has one row."""
    merge = model.config.vision_config.spatial_merge_size

    def look(grids: torch.Tensor) -> None:
        if bool((grids[:, 1] == merge).any()):
            os.write(2, ASSERTION.encode())
            os.abort()

    _on_grids(model, look)


def hang(model: Any) -> None:
    """Never come back from a call with two images."""

    def look(grids: torch.Tensor) -> None:
        while len(grids) > 1:
            time.sleep(3600)

    _on_grids(model, look)


def leave(model: Any) -> None:
    """Exit without an answer when a static cache is used."""

    def look(_module: object, _args: object, kwargs: dict[str, Any]) -> None:
        if type(kwargs.get("past_key_values")).__name__ == "StaticCache":
            os._exit(0)

    release.text_model(model).register_forward_pre_hook(look, with_kwargs=True)


def sticky_device_error(model: Any) -> None:
    """Poison the device on a right-padded batch, and let the call itself go on."""

    def look(_module: object, _args: object, kwargs: dict[str, Any]) -> None:
        mask = kwargs.get("attention_mask")
        if isinstance(mask, torch.Tensor) and mask.ndim == 2 and bool((mask[:, -1] == 0).any()):
            device.poison("CUDA error: device-side assert triggered")

    release.text_model(model).register_forward_pre_hook(look, with_kwargs=True)


def _on_grids(model: Any, look: Any) -> None:
    tower = release.vision_tower(model)

    def hook(_module: object, _args: object, kwargs: dict[str, Any]) -> None:
        look(kwargs["grid_thw"])

    if tower is not None:
        tower.register_forward_pre_hook(hook, with_kwargs=True)
