"""Faults below the code under test, set off by what the model is given."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Final

import torch

from fuzz.worker import faults, release
from fuzz.worker.plants import fake_device

_HUGE: Final = 17 * 2**20  # above what one message may hold
_armed: list[str] = []


def arm(fault: str) -> None:
    """Have a fault happen at the next call of a text model that has :func:`on_demand` in it."""
    _armed[:] = [fault]


def on_demand(model: Any) -> None:
    """Bring about what :func:`arm` named, once."""

    def look(_module: object, _args: object, _kwargs: object) -> None:
        if _armed:
            ({**DEEDS, **REAL})[_armed.pop()]()

    release.text_model(model).register_forward_pre_hook(look, with_kwargs=True)


def on_one_row(fault: str) -> Callable[[Any], None]:
    """Return a plant that brings about a fault on every image whose merged grid has one row."""

    def plant(model: Any) -> None:
        merge = model.config.vision_config.spatial_merge_size

        def look(grids: torch.Tensor) -> None:
            if bool((grids[:, 1] == merge).any()):
                DEEDS[fault]()

        _on_grids(model, look)

    return plant


def hang(model: Any) -> None:
    """Never come back from a call with two images."""

    def look(grids: torch.Tensor) -> None:
        if len(grids) > 1:
            faults.hang()

    _on_grids(model, look)


def leave(model: Any) -> None:
    """Exit without an answer when a static cache is used."""

    def look(_module: object, _args: object, kwargs: dict[str, Any]) -> None:
        if type(kwargs.get("past_key_values")).__name__ == "StaticCache":
            faults.leave()

    release.text_model(model).register_forward_pre_hook(look, with_kwargs=True)


def sticky_device_error(model: Any) -> None:
    """Break the device on a right-padded batch, and let the call itself go on."""

    def look(_module: object, _args: object, kwargs: dict[str, Any]) -> None:
        mask = kwargs.get("attention_mask")
        if isinstance(mask, torch.Tensor) and mask.ndim == 2 and bool((mask[:, -1] == 0).any()):
            fake_device.raised_at_synchronize()

    release.text_model(model).register_forward_pre_hook(look, with_kwargs=True)


def _on_grids(model: Any, look: Callable[[torch.Tensor], None]) -> None:
    """Look at the grids of images; those of videos pass, so that one fault has one place."""
    tower = release.vision_tower(model)
    videos: list[object] = [None]

    def note(_module: object, _args: object, kwargs: dict[str, Any]) -> None:
        videos[0] = kwargs.get("video_grid_thw")

    def hook(_module: object, _args: object, kwargs: dict[str, Any]) -> None:
        if kwargs["grid_thw"] is not videos[0]:
            look(kwargs["grid_thw"])

    model.register_forward_pre_hook(note, with_kwargs=True)
    if tower is not None:
        tower.register_forward_pre_hook(hook, with_kwargs=True)


def _spoil(answer: object) -> None:
    """Have the answer that is being worked on be another one."""
    serve = sys.modules["fuzz.worker.serve"]
    to_plain = serve.__dict__["outcome_to_plain"]

    def once(_outcome: object) -> object:
        serve.__dict__["outcome_to_plain"] = to_plain
        return answer

    serve.__dict__["outcome_to_plain"] = once


def real_device_assert() -> None:
    """Look up a row that a table on the GPU does not have."""
    table = torch.zeros(4, device="cuda")
    table[torch.tensor([9], device="cuda")]


def real_device_memory() -> None:
    """Ask the GPU for more than any has.

    Raises:
        torch.OutOfMemoryError: always.
    """
    torch.empty(2**50, dtype=torch.uint8, device="cuda")


REAL: Final[dict[str, Callable[[], None]]] = {
    "real-device-assert": real_device_assert,
    "real-device-memory": real_device_memory,
}

DEEDS: Final[dict[str, Callable[[], None]]] = {
    **faults.DEEDS,
    "torch-out-of-memory": fake_device.out_of_memory,
    "unsendable-answer": lambda: _spoil(object()),
    "huge-answer": lambda: _spoil("x" * _HUGE),
    "device-error": fake_device.raised_at_once,
    "device-error-late": fake_device.raised_late,
    "device-error-swallowed": fake_device.swallowed,
    "device-error-at-synchronize": fake_device.raised_at_synchronize,
}
