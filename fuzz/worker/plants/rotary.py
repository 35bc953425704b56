"""Defects of the rotation of queries and keys."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch

from fuzz.worker import release
from fuzz.worker.errors import NothingToBreakError

Turned = tuple[torch.Tensor, torch.Tensor]


def cos_sin_exchanged(model: Any) -> None:
    """Hand over sines for cosines and cosines for sines."""

    def exchange(_module: object, _args: object, out: Turned) -> Turned:
        return out[1], out[0]

    release.text_rotary(model).register_forward_hook(exchange)


def another_base(model: Any) -> None:
    """Turn by frequencies of a base that is 1.01 in the exponent of the right one."""
    rotary = release.text_rotary(model)
    for holder in (rotary._buffers, rotary.__dict__):
        for name, value in holder.items():
            if "inv_freq" in name and isinstance(value, torch.Tensor):
                # On the right device and in the right dtype, whatever that is.
                holder[name] = value**1.01


def sections_shifted(model: Any) -> None:
    """Begin the second axis of the multimodal sections one pair later.

    Raises:
        NothingToBreakError: positions have one axis.
    """
    rotary = release.text_rotary(model)
    sections = list(getattr(rotary, "mrope_section", None) or ())
    if len(sections) < 2:
        raise NothingToBreakError("the rotary module has no sections")
    rotary.mrope_section = [sections[0] + 1, sections[1] - 1, *sections[2:]]


def wrong_half(model: Any) -> None:
    """Turn neighbouring elements together where halves of a head belong together, or the reverse.

    Raises:
        NothingToBreakError: no function pairs elements.
    """
    module = release.modeling_module(release.text_model(model))
    if getattr(model.config, "rope_interleave", False):
        # DeepSeek has a function for each way; whoever looks at the other one sees it turn.
        halves = lambda *args, **kwargs: module.apply_rotary_pos_emb(*args, **kwargs)  # noqa: E731
        during(model, module, "apply_rotary_pos_emb_interleave", halves)
        return
    name = next((n for n in ("rotate_half_llm", "rotate_half") if hasattr(module, n)), "")
    if not name:
        raise NothingToBreakError("no function pairs elements of a head")
    original = getattr(module, name)

    def other(x: torch.Tensor) -> torch.Tensor:
        probe = torch.arange(8, dtype=torch.float32)
        if torch.equal(original(probe), _halves(probe)):
            return _neighbours(x)
        return _halves(x)

    during(model, module, name, other)


def _halves(x: torch.Tensor) -> torch.Tensor:
    first, second = x.chunk(2, dim=-1)
    return torch.cat([-second, first], dim=-1)


def _neighbours(x: torch.Tensor) -> torch.Tensor:
    return torch.stack([-x[..., 1::2], x[..., 0::2]], dim=-1).flatten(-2)


def positions_rounded(model: Any) -> None:
    """Take positions through bfloat16, whose 8 bits end at 256."""
    _on_positions(release.text_rotary(model), lambda ids: ids.to(torch.bfloat16).to(ids.dtype))


def far_positions_wrap(model: Any) -> None:
    """Begin anew at ``max_position_embeddings``."""
    limit = release.text_config(model.config).max_position_embeddings
    _on_positions(release.text_rotary(model), lambda ids: ids % limit)


def audio_frames_twice(model: Any) -> None:
    """Number the frames of audio two by two.

    Raises:
        NothingToBreakError: no audio tower turns by positions.
    """
    rotary = getattr(release.audio_tower(model), "rotary_emb", None)
    if rotary is None:
        raise NothingToBreakError("no audio tower has a rotary embedding")
    _on_positions(rotary, lambda ids: 2 * ids)


def _on_positions(rotary: Any, change: Callable[[torch.Tensor], torch.Tensor]) -> None:
    def changed(
        _module: object, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        if "position_ids" in kwargs:
            return args, {**kwargs, "position_ids": change(kwargs["position_ids"])}
        return (args[0], change(args[1]), *args[2:]), kwargs

    rotary.register_forward_pre_hook(changed, with_kwargs=True)


def lengthening_lost(model: Any) -> None:
    """Leave cosine and sine as long as they are without YaRN's or LongRoPE's factor.

    Raises:
        NothingToBreakError: the factor is 1.
    """
    rotary = release.text_rotary(model)
    if getattr(rotary, "attention_scaling", 1.0) in (None, 1.0):
        raise NothingToBreakError("cosine and sine are not lengthened")
    rotary.attention_scaling = 1.0


def during(model: Any, module: Any, name: str, function: Callable[..., Any]) -> None:
    """Have a function of a Python module be another one while the model runs."""
    forward = model.forward

    @functools.wraps(forward)  # callers look at its signature
    def broken(*args: Any, **kwargs: Any) -> Any:
        original = getattr(module, name)
        setattr(module, name, function)
        try:
            return forward(*args, **kwargs)
        finally:
            setattr(module, name, original)

    model.forward = broken
