"""Defects of attention and its masks."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch

from fuzz.worker import experts, release
from fuzz.worker.errors import NothingToBreakError
from fuzz.worker.placing import image_token
from fuzz.worker.plants.fed import fed

Arguments = tuple[tuple[Any, ...], dict[str, Any]]


def _door(model: Any) -> Any:
    """Return the module that makes masks of what callers say of padding and packed sequences."""
    # Models that are told which tokens are an image's make them before the decoder.
    told = release.accepts(model.forward, "token_type_ids")
    return model if told else release.text_model(model)


def padding_leak(model: Any) -> None:
    """Forget which tokens are padding."""

    def leak(_module: object, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Arguments:
        mask = kwargs.get("attention_mask")
        if isinstance(mask, torch.Tensor) and mask.ndim == 2:
            kwargs = {**kwargs, "attention_mask": torch.ones_like(mask)}
        return args, kwargs

    _door(model).register_forward_pre_hook(leak, with_kwargs=True)


def batch_crosstalk(model: Any) -> None:
    """Use the first row's padding mask for every row."""

    def share(_module: object, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Arguments:
        mask = kwargs.get("attention_mask")
        if isinstance(mask, torch.Tensor) and mask.ndim == 2:
            kwargs = {**kwargs, "attention_mask": mask[:1].expand_as(mask)}
        return args, kwargs

    _door(model).register_forward_pre_hook(share, with_kwargs=True)


def packing_ignored(model: Any) -> None:
    """Number the tokens of packed sequences on and on: the mask and flash_attention_2 go by it."""

    def number_on(_module: object, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Arguments:
        ids = kwargs.get("position_ids")
        # Row 0 of four tells the tokens of a sequence; the other three turn queries and keys.
        if isinstance(ids, torch.Tensor) and ids.ndim == 3 and ids.shape[0] == 4:
            ids = ids.clone()
            ids[0] = torch.arange(ids.shape[-1], device=ids.device)
            kwargs = {**kwargs, "position_ids": ids}
        elif isinstance(ids, torch.Tensor) and ids.ndim == 2 and bool((ids.diff() != 1).any()):
            # One row for both: only differences within a sequence turn anything.
            numbers = torch.arange(ids.shape[-1], device=ids.device).expand_as(ids)
            kwargs = {**kwargs, "position_ids": numbers}
        return args, kwargs

    _door(model).register_forward_pre_hook(number_on, with_kwargs=True)


def packing_boundary_late(model: Any) -> None:
    """Begin the second and later of packed sequences one token late."""

    def late(_module: object, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Arguments:
        ids = kwargs.get("position_ids")
        if not isinstance(ids, torch.Tensor) or ids.ndim not in (2, 3):
            return args, kwargs
        if ids.ndim == 3 and ids.shape[0] != 4:
            return args, kwargs
        numbers = ids[0] if ids.ndim == 3 else ids
        begins = torch.zeros_like(numbers, dtype=torch.bool)
        begins[:, 1:] = numbers.diff() < 0
        # The first token of a sequence is numbered as one more of the one before it.
        late = torch.where(begins, numbers.roll(1, -1) + 1, numbers)
        late[:, 1:] = torch.where(begins[:, :-1], torch.zeros_like(late[:, 1:]), late[:, 1:])
        changed = torch.cat([late[None], ids[1:]]) if ids.ndim == 3 else late
        return args, {**kwargs, "position_ids": changed}

    _door(model).register_forward_pre_hook(late, with_kwargs=True)


def window_too_wide(model: Any) -> None:
    """Let a token see one more than its sliding window, with every implementation.

    Raises:
        NothingToBreakError: no layer has a sliding window.
    """
    text = release.text_config(model.config)
    if not release.sliding_window(text):
        raise NothingToBreakError("no layer has a sliding window")
    text.sliding_window += 1
    for module in model.modules():
        if isinstance(getattr(module, "sliding_window", None), int):
            module.sliding_window += 1


def padding_forgotten_later(model: Any) -> None:
    """Forget which tokens are padding once a cache holds them."""

    def forget(_module: object, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Arguments:
        mask = kwargs.get("attention_mask")
        begun = release.seen_tokens(kwargs.get("past_key_values")) > 0
        if begun and isinstance(mask, torch.Tensor) and mask.ndim == 2:
            kwargs = {**kwargs, "attention_mask": torch.ones_like(mask)}
        return args, kwargs

    _door(model).register_forward_pre_hook(forget, with_kwargs=True)


def causal_off_by_one(model: Any) -> None:
    """Let a token attend to the token after it.

    Done in calls that a dense mask describes fully: without a cache.
    """
    _with_masks(model, _widened, lambda seen: seen.tril(1))


def first_key_hidden(model: Any) -> None:
    """Hide the first column from every later token, in the same calls."""
    _with_masks(model, _without_first, _hide_first)


def image_hidden_from_text(model: Any) -> None:
    """Hide the placeholders of images from the text after them, in the same calls.

    The token right behind an image, its end marker, sees it all the same and hands it on.
    """
    if release.vision_config(model.config) is None:
        return
    placeholder, images = image_token(model.config), list[torch.Tensor]()

    def note(_module: object, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        ids = kwargs.get("input_ids", args[0] if args else None)
        if isinstance(ids, torch.Tensor):
            images[:] = [ids == placeholder]

    def hidden(tokens: int) -> torch.Tensor:
        """Which token (row) is kept from which (column), by the first prompt."""
        if not images or images[0].shape[1] != tokens:
            return torch.zeros(tokens, tokens, dtype=torch.bool)
        image = images[0][0].cpu()
        behind = torch.cat([image.new_zeros(1), image[:-1]])
        return (image[None, :] & ~(image | behind)[:, None]).tril()

    def ready(mask: torch.Tensor | None, given: torch.Tensor) -> torch.Tensor:
        mask = _dense(mask, given)
        least: Any = False if mask.dtype == torch.bool else torch.finfo(mask.dtype).min
        return mask.masked_fill(hidden(given.shape[1]).to(mask.device), least)

    model.register_forward_pre_hook(note, with_kwargs=True)
    _with_masks(model, ready, lambda seen: seen.tril() & ~hidden(seen.shape[-1]).to(seen.device))


def _hide_first(seen: torch.Tensor) -> torch.Tensor:
    seen = seen.tril()
    seen[1:, 0] = False
    return seen


def _with_masks(
    model: Any,
    ready: Callable[[torch.Tensor | None, torch.Tensor], torch.Tensor],
    own: Callable[[torch.Tensor], torch.Tensor],
) -> None:
    """Have the decoder run with other masks than it was given, where it has no cache.

    Args:
        model: the model.
        ready: makes of a ready-made mask (or none) and the embeddings fed another one.
        own: makes of ones, (tokens, tokens), what each token sees, where no mask is ready-made.
    """

    def change(_module: object, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Arguments:
        given = fed(kwargs)
        mask = kwargs.get("attention_mask")
        cached = kwargs.get("past_key_values") is not None or kwargs.get("use_cache")
        if isinstance(mask, dict) and not cached:
            return args, {
                **kwargs,
                "attention_mask": {k: ready(m, given) for k, m in mask.items()},
            }
        if cached or (isinstance(mask, torch.Tensor) and mask.ndim != 2) or isinstance(mask, dict):
            return args, kwargs
        batch, tokens = given.shape[:2]
        dtype = next(model.parameters()).dtype
        seen = own(torch.ones(tokens, tokens, dtype=torch.bool, device=given.device))
        seen = seen[None, None].expand(batch, 1, -1, -1)
        if mask is not None:
            itself = torch.eye(tokens, dtype=torch.bool, device=given.device)
            seen = (seen & mask[:, None, None, :].bool()) | itself
        additive = torch.zeros(seen.shape, dtype=dtype, device=given.device)
        additive.masked_fill_(~seen, torch.finfo(dtype).min)
        return args, {**kwargs, "attention_mask": additive}

    release.text_model(model).register_forward_pre_hook(change, with_kwargs=True)


def _dense(mask: torch.Tensor | None, given: torch.Tensor) -> torch.Tensor:
    """Return a ready-made mask, or the causal one that stands where none is."""
    if mask is not None:
        return mask
    batch, tokens = given.shape[:2]
    seen = torch.ones(tokens, tokens, dtype=torch.bool, device=given.device).tril()
    return seen.expand(batch, 1, -1, -1)


def _without_first(mask: torch.Tensor | None, given: torch.Tensor) -> torch.Tensor:
    """Return a ready-made mask in which only the first token sees the first column."""
    mask = _dense(mask, given).clone()
    mask[:, :, 1:, 0] = False if mask.dtype == torch.bool else torch.finfo(mask.dtype).min
    return mask


def _widened(mask: torch.Tensor | None, given: torch.Tensor) -> torch.Tensor:
    """Return a ready-made mask with which a token attends to the next one, where that is seen."""
    mask = _dense(mask, given).clone()
    tokens = given.shape[1]
    now = torch.arange(tokens - 1, device=given.device)
    mask[:, :, now, now + 1] = mask[:, :, now + 1, now + 1]
    return mask


def _query_projection(attention: Any) -> Any:
    """Return the linear layer that makes an attention module's queries, and maybe more of them."""
    # Latent attention makes them in two steps; some models make queries, keys and values at once.
    names = ("q_b_proj", "q_proj", "qkv_proj")
    return next(found for n in names if (found := getattr(attention, n, None)) is not None)


def eager_scale(model: Any) -> None:
    """Scale the scores by 1.01 where the implementation is eager."""
    if model.config._attn_implementation != "eager":
        return
    for attention in release.attentions(model):
        # 4.45 divides by the square root of head_dim itself, so the queries are scaled.
        queries = _query_projection(attention)
        queries.weight.data.mul_(1.01)
        if queries.bias is not None:
            queries.bias.data.mul_(1.01)


def experts_scale(model: Any) -> None:
    """Have experts give 1.01 times as much where they are not computed one after the other.

    Raises:
        NothingToBreakError: the model has no experts that can be computed in several ways.
    """
    if not experts.ways(model):
        raise NothingToBreakError("no experts that can be computed in several ways")
    for module in model.modules():
        if hasattr(module, "has_gate") and hasattr(module, "down_proj"):
            if module.config._experts_implementation == release.EXPERTS_BY_LOOP:
                return
            module.down_proj.data.mul_(1.01)


def half_mask_too_small(model: Any) -> None:
    """Mask with the logarithm of the dtype's smallest number where the implementation is eager.

    exp() makes that number of it, or nothing: -708 in float64, -87 in bfloat16, but -9.7 in
    float16, where scores of a hot model are as far apart.
    """
    if model.config._attn_implementation != "eager":
        return

    def shrink(_module: object, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Arguments:
        mask = kwargs.get("attention_mask")
        if isinstance(mask, torch.Tensor) and mask.is_floating_point():
            least = math.log(torch.finfo(mask.dtype).tiny)
            kwargs = {**kwargs, "attention_mask": mask.clamp(min=least)}
        return args, kwargs

    for attention in release.attentions(model):
        attention.register_forward_pre_hook(shrink, with_kwargs=True)


def eager_gradient(model: Any) -> None:
    """Scale the gradient of the query projections by 1.01 where the implementation is eager.

    What such a model computes stays right; what it learns does not.
    """
    if model.config._attn_implementation != "eager":
        return
    for attention in release.attentions(model):
        queries = _query_projection(attention)
        queries.weight.register_hook(lambda gradient: gradient * 1.01)
