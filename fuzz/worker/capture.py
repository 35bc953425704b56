"""Watching what reaches the rotary code of a model while it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import torch
from torch import nn

from fuzz.worker import release

ROTATIONS: Final = (
    "apply_multimodal_rotary_pos_emb",
    "apply_rotary_pos_emb",
    "apply_rotary_pos_emb_interleave",
)
"""Functions that turn a layer's queries and keys; a modeling module has one or two of them, and a
layer calls one."""


@dataclass(slots=True)
class Captured:
    """What was seen, in order.

    Attributes:
        positions: position ids as they reached the text model's rotary module, one per call,
            (axes, batch, tokens).
        turns: per call of the text rotation (vectors before, vectors after) for queries and
            keys, each (batch, heads, tokens, head_dim), with the index into ``positions``.
        vision_turns: the same for the vision tower, each (patches, heads, head_dim), with the
            number of the tower's call.
        audio_turns: the same for the audio tower, each (windows, heads, frames, head_dim).
        towers: calls of the vision tower, where one is told where images end.
    """

    positions: list[torch.Tensor] = field(default_factory=list)
    turns: list[tuple[int, torch.Tensor, torch.Tensor]] = field(default_factory=list)
    vision_turns: list[tuple[int, torch.Tensor, torch.Tensor]] = field(default_factory=list)
    audio_turns: list[tuple[torch.Tensor, torch.Tensor]] = field(default_factory=list)
    towers: int = 0


@contextmanager
def rotary(model: nn.Module) -> Iterator[Captured]:
    """Record positions and rotations of every call made in the body."""
    seen = Captured()
    tower = release.vision_tower(model)
    module = release.modeling_module(model if tower is None else tower)

    def on_text(inputs: tuple[Any, ...], outputs: Any) -> None:
        if isinstance(outputs, torch.Tensor):
            return  # Of what chooses keys for a query, not of queries and keys.
        for before, after in zip(inputs[:2], outputs, strict=True):
            seen.turns.append((len(seen.positions) - 1, before, after))

    def on_vision(inputs: tuple[Any, ...], outputs: Any) -> None:
        # 4.45 turns one tensor at a time, (1, patches, heads, head_dim); later both at once.
        if isinstance(outputs, torch.Tensor):
            outputs, inputs = (outputs,), inputs[:1]
        for before, after in zip(inputs, outputs, strict=False):
            turned = before.flatten(0, -3), after.flatten(0, -3)
            seen.vision_turns.append((max(0, seen.towers - 1), *turned))

    def on_images(inputs: tuple[Any, ...], outputs: Any) -> None:
        # (1, heads, patches, head_dim)
        for before, after in zip(inputs[:2], outputs, strict=True):
            seen.vision_turns.append((0, before[0].transpose(0, 1), after[0].transpose(0, 1)))

    def on_audio(inputs: tuple[Any, ...], outputs: Any) -> None:
        seen.audio_turns += zip(inputs[:2], outputs, strict=True)

    def on_tower(_module: object, _args: object) -> None:
        seen.towers += 1

    with ExitStack() as stack:
        if tower is not None:
            stack.callback(tower.register_forward_pre_hook(on_tower).remove)
        seen.positions = stack.enter_context(positions_reaching_rope(model))
        stack.enter_context(text_rotation(model, on_text))
        if hasattr(module, "apply_rotary_pos_emb_vision"):
            stack.enter_context(_wrapped(module, "apply_rotary_pos_emb_vision", on_vision))
        if (images := release.rotary_images(model)) is not None:
            stack.enter_context(_wrapped(images, "apply_rotary_pos_emb", on_images))
        if (audio := release.audio_tower(model)) is not None:
            of_audio = release.modeling_module(audio)
            stack.enter_context(_wrapped(of_audio, "apply_rotary_pos_emb", on_audio))
        yield seen


@contextmanager
def positions_reaching_rope(model: nn.Module) -> Iterator[list[torch.Tensor]]:
    """Record the position ids of every call of the text model's rotary module in the body."""
    seen: list[torch.Tensor] = []
    kinds: list[Any] = []

    def note(_module: object, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        # Gemma 3 asks once for each kind of its layers, with the same positions.
        kind = kwargs.get("layer_type", args[2] if len(args) > 2 else None)
        kinds.append(kind)
        if kind == kinds[0]:
            ids, hidden = positions_given(args, kwargs), kwargs.get("x", args[0] if args else None)
            if hidden is not None and hidden.ndim == 3:
                # Qwen4-Exp turns whole blocks, and asks again for what is in its cache.
                ids = ids[..., -hidden.shape[1] :]
            seen.append(ids)

    hook = release.text_rotary(model).register_forward_pre_hook(note, with_kwargs=True)
    try:
        yield seen
    finally:
        hook.remove()


def positions_given(args: tuple[Any, ...], kwargs: dict[str, Any]) -> torch.Tensor:
    """Return the position ids that a rotary module is called with, by place or by name."""
    ids: torch.Tensor = kwargs["position_ids"] if "position_ids" in kwargs else args[1]
    return ids


def at_the_door(
    module: nn.Module, call: Callable[[], object]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments, by place and by name, that a module is first called with.

    Args:
        module: it is not run, nor is anything after it.
        call: reaches it.

    Raises:
        LookupError: the module was not reached.
    """

    def stop(_module: object, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        raise _Stop(args, kwargs)

    hook = module.register_forward_pre_hook(stop, with_kwargs=True)
    try:
        call()
    except _Stop as reached:
        return reached.args[0], reached.args[1]
    finally:
        hook.remove()
    raise LookupError(f"{type(module).__name__} was not reached")


class _Stop(Exception):
    pass


@contextmanager
def image_features(model: nn.Module) -> Iterator[list[torch.Tensor]]:
    """Record what leaves the vision tower, (merged patches, hidden) for each of its mergers.

    Where it is called for images and again for videos, one call's follow the other's.
    """
    seen: list[torch.Tensor] = []
    tower = release.vision_tower(model)
    if hasattr(tower, "patch_merger"):
        # HunYuan-VL's merger sees one image at a time, its tower all of them.
        mergers: tuple[nn.Module, ...] = (tower,)
    elif hasattr(tower, "merger"):
        # Qwen3-VL hands over features of several depths.
        mergers = (tower.merger, *getattr(tower, "deepstack_merger_list", ()))
    else:
        mergers = release.projectors(model)
    with ExitStack() as stack:
        for merger in mergers:
            hook = merger.register_forward_hook(
                lambda _m, _a, out: seen.append(_merged(out).flatten(0, -2))
            )
            stack.callback(hook.remove)
        yield seen


def _merged(out: Any) -> torch.Tensor:
    features: torch.Tensor = getattr(out, "pooler_output", out)
    return features


@contextmanager
def text_rotation(model: nn.Module, note: Callable[[tuple[Any, ...], Any], None]) -> Iterator[None]:
    """Tell of every rotation of queries and keys in the text model while a body runs.

    Args:
        model: the model.
        note: given the vectors before, and those after, each (batch, heads, tokens, head_dim).
    """
    module = release.modeling_module(release.text_model(model))
    with ExitStack() as stack:
        for name in ROTATIONS:
            if hasattr(module, name):
                stack.enter_context(_wrapped(module, name, note))
        yield


@contextmanager
def _wrapped(
    module: Any,
    name: str,
    note: Callable[[tuple[Any, ...], Any], None],
) -> Iterator[None]:
    original = getattr(module, name)

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        given = (*args, *(kwargs[k] for k in ("q", "k") if k in kwargs))
        before = tuple(a.detach().clone() if isinstance(a, torch.Tensor) else a for a in given[:2])
        out = original(*args, **kwargs)
        # A case that is trained on has gradients to come; what is noted is only looked at.
        note(before, out.detach() if isinstance(out, torch.Tensor) else [t.detach() for t in out])
        return out

    setattr(module, name, wrapper)
    try:
        yield
    finally:
        setattr(module, name, original)
