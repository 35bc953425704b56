"""Defects of positions and rotary tables."""

from __future__ import annotations

from typing import Any

import torch

from fuzz.target import FLASH
from fuzz.worker import release
from fuzz.worker.errors import NothingToBreakError
from fuzz.worker.placing import image_token
from fuzz.worker.plants import fake_device
from fuzz.worker.plants.fed import fed


def rotary_table_short(model: Any) -> None:
    """Size the cos/sin table by ``cache_position[-1]`` and index it with position ids.

    The reconstruction of the defect behind QwenLM/Qwen3-VL#26 and transformers#33302: with a
    prompt of L tokens the table has L - 1 rows.
    """
    text = release.text_model(model)
    rotary = release.text_rotary(model)
    compute = rotary.forward
    rows = 0

    def measure(_module: object, _args: object, kwargs: dict[str, Any]) -> None:
        nonlocal rows
        seen = release.seen_tokens(kwargs.get("past_key_values"))
        last_cache_position = seen + fed(kwargs).shape[1] - 1
        rows = last_cache_position

    def lookup(x: torch.Tensor, position_ids: torch.Tensor) -> Any:
        positions = position_ids.expand(3, x.shape[0], -1)
        table = torch.arange(rows, device=x.device)
        for axis in positions:
            table[axis]  # the lookup that a too short table cannot serve
        return compute(x, position_ids)

    text.register_forward_pre_hook(measure, with_kwargs=True)
    rotary.forward = lookup


def rotary_table_short_flash(model: Any) -> None:
    """Size the table so in models built with flash_attention_2 alone, as it was reported."""
    if release.text_config(model.config)._attn_implementation == FLASH:
        rotary_table_short(model)


def rotary_table_short_device(model: Any) -> None:
    """Size the table so, on a device where the lookup is an assertion in a kernel."""
    rotary_table_short(model)
    fake_device.asserting(model)


def positions_restart(model: Any) -> None:
    """Number the tokens of every prefill chunk after the first from 0 again."""

    def restart(
        _module: object, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        given_tokens = fed(kwargs)
        rows, tokens = given_tokens.shape[:2]
        given = kwargs.get("position_ids")
        if release.seen_tokens(kwargs.get("past_key_values")) == 0 or tokens < 2:
            return None
        again = torch.arange(tokens, device=given_tokens.device)
        if release.position_owner(model) is None:
            return args, {**kwargs, "position_ids": again.expand(rows, -1)}
        again = again.expand(3, rows, -1).clone()
        if given is not None and given.ndim == 3 and given.shape[0] == 4:
            again = torch.cat([given[:1], again])
        return args, {**kwargs, "position_ids": again}

    release.text_model(model).register_forward_pre_hook(restart, with_kwargs=True)


def mrope_axes_swapped(model: Any) -> None:
    """Exchange height and width in the multimodal position ids."""
    owner = release.position_owner(model)
    compute = owner.get_rope_index

    def swapped(*args: Any, **kwargs: Any) -> Any:
        positions, deltas = compute(*args, **kwargs)
        # Of four axes the first two are order and column.
        order = [0, 2, 1] if len(positions) == 3 else [0, 2, 1, 3]
        return positions[order], deltas

    _replace(owner, swapped, compute)


def video_times_lost(model: Any) -> None:
    """Give all frames of a video the time of its first one."""
    owner = release.position_owner(model)
    if owner is None:
        return
    compute = owner.get_rope_index

    def still(*args: Any, **kwargs: Any) -> Any:
        positions, deltas = compute(*args, **kwargs)
        ids = kwargs["input_ids"] if "input_ids" in kwargs else args[0]
        for row, line in enumerate((ids == model.config.video_token_id).tolist()):
            for at in range(1, len(line)):
                # Tokens of a video follow each other; between two videos there is a marker.
                if line[at] and line[at - 1]:
                    positions[0, row, at] = positions[0, row, at - 1]
        return positions, deltas

    _replace(owner, still, compute)


def stale_rope_deltas(model: Any) -> None:
    """Keep the first prompt's ``rope_deltas`` until someone clears them."""
    owner = release.position_owner(model)
    compute = owner.get_rope_index

    def stale(*args: Any, **kwargs: Any) -> Any:
        positions, deltas = compute(*args, **kwargs)
        old = getattr(owner, "rope_deltas", None)
        if old is not None and old.shape == deltas.shape:
            deltas = old
        return positions, deltas

    _replace(owner, stale, compute)


def deltas_lost(model: Any) -> None:
    """Keep ``rope_deltas`` of 0, as if images had as many positions as tokens.

    Raises:
        NothingToBreakError: positions have one axis and no offset that is kept.
    """
    owner = release.position_owner(model)
    if owner is None:
        raise NothingToBreakError("positions have one axis and no offset that is kept")
    compute = owner.get_rope_index

    def lost(*args: Any, **kwargs: Any) -> Any:
        positions, deltas = compute(*args, **kwargs)
        return positions, torch.zeros_like(deltas)

    _replace(owner, lost, compute)


def after_images_late(model: Any) -> None:
    """Number the text after the first image from one further on.

    Raises:
        NothingToBreakError: positions have one axis.
    """
    owner = release.position_owner(model)
    if owner is None:
        raise NothingToBreakError("positions have one axis")
    compute, placeholder = owner.get_rope_index, image_token(model.config)

    def late(*args: Any, **kwargs: Any) -> Any:
        positions, deltas = compute(*args, **kwargs)
        ids = kwargs.get("input_ids", args[0] if args else None)
        if not isinstance(ids, torch.Tensor):
            return positions, deltas
        image = ids == placeholder
        behind = (image.cumsum(-1) > 0) & ~image
        return positions + behind.to(positions.dtype), deltas + image.any(-1, keepdim=True)

    _replace(owner, late, compute)


def _replace(owner: Any, function: Any, original: Any) -> None:
    # Callers look at the signature to see what a release accepts.
    function.__wrapped__ = original
    owner.get_rope_index = function
