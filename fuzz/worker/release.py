"""What the installed transformers accepts and where it keeps things, found by looking."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import torch
from torch import nn

OLDEST: Final = "4.45"
FRESH: Final = "fresh_inv_freq"
"""Attribute of a rotary module that :func:`remember` sets and :func:`forget` reads."""
ATTENDING: Final = ("full_attention", "sliding_attention", "chunked_attention")
"""Kinds of layers whose cache is keys and values."""
EXPERTS_BY_LOOP: Final = "eager"
"""transformers' name for computing one expert after the other."""

EXPERTS: Final = ("num_experts", "n_routed_experts", "num_local_experts")
"""Names under which configs say how many experts there are."""
MODULES: Final = "modules_of_the_model"
"""Attribute of a model that keeps all of its modules."""
GRIDS: Final = ("image_grid_thw", "video_grid_thw", "second_per_grid_ts")
"""What positions follow from beside the tokens, by the name of the argument."""


@dataclass(frozen=True, slots=True)
class RopeSettings:
    """The published parameters of a text model's rotary embedding, as the config states them.

    Attributes:
        theta: base of the frequencies.
        kind: ``default``, ``yarn``, ...; ``mrope``, ``xdrope`` and what has an ``alpha`` count as
            ``default``.
        sections: pairs of each axis (time, height, width); empty for one-axis rope.
        interleaved: whether the pairs of the axes alternate instead of lying in chunks.
        head_dim: size of a head.
        rotary_dim: how many of its elements turn, the first ones.
        table: what the config says of the rotation, scaling included.
        maximum: ``max_position_embeddings``, in tokens.
    """

    theta: float
    kind: str
    sections: tuple[int, ...]
    interleaved: bool
    head_dim: int
    rotary_dim: int
    table: Mapping[str, Any]
    maximum: int

    @property
    def limit(self) -> int:
        """Positions up to which all turn alike however far a prompt reaches, 0 without limit."""
        if self.kind not in ("dynamic", "longrope"):
            return 0
        own = self.table.get("original_max_position_embeddings")
        return int((self.kind == "longrope" and own) or self.maximum)


def accepts(function: Callable[..., Any], name: str) -> bool:
    """Tell whether ``function`` has a parameter of that name (``**kwargs`` does not count)."""
    # Bound methods are new objects at each look; the functions behind them stay.
    return name in _parameters(getattr(function, "__func__", function))


@cache
def _parameters(function: Callable[..., Any]) -> frozenset[str]:
    return frozenset(inspect.signature(function).parameters)


def text_config(config: Any) -> Any:
    """Return the configuration of the text model: nested in 5.x, the config itself in 4.45."""
    return config.get_text_config() if hasattr(config, "get_text_config") else config


def sliding_window(text: Any) -> int:
    """Return how many tokens sliding attention sees in a text config's layers, 0 without any."""
    # Qwen's configs have a switch beside the number, and the number alone means nothing.
    if not getattr(text, "use_sliding_window", True):
        return 0
    layers = getattr(text, "layer_types", None)
    if layers and "sliding_attention" not in layers:
        return 0
    return int(getattr(text, "sliding_window", None) or 0)


def rope_settings(config: Any, layer: int = 0) -> RopeSettings:
    """Read the rotary parameters that are in effect in a layer, under their old or new names.

    Args:
        config: of the whole model.
        layer: number of the layer; in Gemma 3 sliding and full layers have a base each.

    Raises:
        ValueError: the config states no base.
    """
    text = text_config(config)
    table: Mapping[str, Any] = (
        getattr(text, "rope_parameters", None) or getattr(text, "rope_scaling", None) or {}
    )
    kinds = getattr(text, "layer_types", None) or ("",)
    kind_of_layer = kinds[layer % len(kinds)]
    local = getattr(text, "rope_local_base_freq", None)
    if isinstance(table.get(kind_of_layer), Mapping):
        table = table[kind_of_layer]
    elif local is not None and kind_of_layer == "sliding_attention":
        table = {"rope_theta": local}
    theta = table.get("rope_theta") or getattr(text, "rope_theta", None)
    if theta is None:
        raise ValueError("the config states no rope_theta")
    kind = table.get("rope_type") or table.get("type") or "default"
    head = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    share = table.get("partial_rotary_factor") or getattr(text, "partial_rotary_factor", None) or 1
    turning = int(head * share)
    if alpha := table.get("alpha"):
        # NTK-aware scaling by a constant stretches the base (HunyuanOCR, arXiv:2511.19575).
        theta = theta * alpha ** (turning / (turning - 2))
    return RopeSettings(
        theta=float(theta),
        # Axes are told by the sections; an alpha is a constant that the base has already.
        kind="default" if alpha or kind in ("mrope", "xdrope") else str(kind),
        sections=tuple(table.get("mrope_section") or table.get("xdrope_section") or ()),
        interleaved=bool(table.get("mrope_interleaved", False)),
        head_dim=int(head),
        rotary_dim=turning,
        table=table,
        maximum=int(text.max_position_embeddings),
    )


def generates_from_embeddings(architecture: str) -> bool:
    """Tell whether a model class hands ``inputs_embeds`` on in ``generate``, as that looks."""
    import transformers

    return accepts(
        getattr(transformers, architecture).prepare_inputs_for_generation, "inputs_embeds"
    )


def vision_config(config: Any) -> Any:
    """Return the configuration of the vision tower, None for a text model."""
    return getattr(config, "vision_config", None)


def audio_config(config: Any) -> Any:
    """Return the configuration of the audio tower, None where there is none."""
    return getattr(config, "audio_config", None)


def audio_tower(model: nn.Module) -> Any:
    """Return the tower that audio passes through, None where there is none."""
    for module in model.modules():
        if hasattr(module, "audio_tower"):
            return module.audio_tower
    return None


def audio_rope(config: Any) -> tuple[float, int]:
    """Return an audio tower's base of frequencies, and how many elements of a head turn."""
    audio = audio_config(config)
    table = audio.rope_parameters
    head = getattr(audio, "head_dim", None) or audio.hidden_size // audio.num_attention_heads
    return float(table["rope_theta"]), int(head * table.get("partial_rotary_factor", 1.0))


def counts_frames(processor: Any) -> bool:
    """Tell whether a processor's limits count the pixels of all frames, as GLM's do."""
    resize = getattr(inspect.getmodule(type(processor)), "smart_resize", None)
    return resize is not None and accepts(resize, "num_frames")


def in_dtype(config: Any, dtype: torch.dtype) -> dict[str, torch.dtype]:
    """Return the argument that has ``_from_config`` build a model in a dtype, as loading does."""
    # Renamed in 4.56; before, configurations know only the old name.
    return {"dtype" if hasattr(config, "dtype") else "torch_dtype": dtype}


def text_model(model: nn.Module) -> Any:
    """Return the decoder: the module that owns token embeddings, layers and the rotary module."""
    for module in model.modules():
        if hasattr(module, "embed_tokens") and hasattr(module, "layers"):
            return module
    for module in model.modules():
        # GPT-NeoX calls the first another name.
        if hasattr(module, "rotary_emb") and hasattr(module, "layers"):
            return module
    raise LookupError("no module with embed_tokens and layers")


def text_rotary(model: nn.Module) -> Any:
    """Return the decoder's rotary module; in 4.45 each layer of Mistral and Gemma 2 has one."""
    owner = next(m for m in text_model(model).modules() if hasattr(m, "rotary_emb"))
    return owner.rotary_emb


def vision_tower(model: nn.Module) -> Any:
    """Return the vision tower that is told where each image of a call ends, None without one."""
    for module in model.modules():
        if hasattr(module, "patch_embed") and hasattr(module, "blocks"):
            return module
        # HunYuan-VL's
        if hasattr(module, "patch_merger") and hasattr(module, "layers"):
            return module
    return None


def vision_theta(config: Any) -> float:
    """Return the base of a vision tower's rotary frequencies, where its config states one."""
    vision = vision_config(config)
    table = getattr(vision, "rope_parameters", None) or {}
    return float(table.get("rope_theta") or vision.rope_theta)


def rotary_images(model: nn.Module) -> Any:
    """Return the Python module of a tower that turns whole images (Pixtral's), None for others."""
    for module in model.modules():
        if hasattr(module, "patch_positional_embedding"):
            return modeling_module(module)
    return None


def vision_blocks(tower: Any) -> Any:
    """Return the layers of a vision tower."""
    return tower.blocks if hasattr(tower, "blocks") else tower.layers


def attentions(model: nn.Module) -> list[Any]:
    """Return the decoder's attention modules; layers of linear attention have none."""
    return [x.self_attn for x in text_model(model).layers if hasattr(x, "self_attn")]


def experts_by_loop() -> dict[str, str]:
    """Return the argument that has experts computed one after the other.

    The other ways use grouped products, which know no float64. Models without experts do not mind,
    releases before 5.0 have no other way.
    """
    from transformers import PreTrainedModel

    return (
        {"experts_implementation": EXPERTS_BY_LOOP}
        if hasattr(PreTrainedModel, "get_correct_experts_implementation")
        else {}
    )


def use_all_experts(config: Any) -> None:
    """Have every expert of a mixture take part in every token.

    In low precision the choice of the best few flips by rounding; then results are far apart
    without a defect.
    """
    text = text_config(config)
    for name in EXPERTS:
        if isinstance(count := getattr(text, name, None), int):
            text.num_experts_per_tok = count
            if isinstance(groups := getattr(text, "n_group", None), int):
                text.topk_group = groups


def projectors(model: nn.Module) -> tuple[Any, ...]:
    """Return the modules that bring image features to the decoder's width.

    Raises:
        LookupError: no module has one of the names that are known.
    """
    module: Any
    for module in model.modules():
        for name in ("multi_modal_projector", "connector"):
            if hasattr(module, name):
                return (getattr(module, name),)
        if hasattr(module, "layerwise_projectors"):
            return (*module.layerwise_projectors, *module.spatial_projectors)
    raise LookupError("no multi_modal_projector and no connector")


@cache
def takes_merged_embeddings(model: nn.Module) -> bool:
    """Tell whether an image's share in the input embeddings is all that the decoder gets of it.

    Qwen3-VL's decoder and Granite 4 Vision's also get features of several depths, which only pixels
    can bring; Qwen4-Exp's looks up the tokens themselves in a layer; that of Gemma 3 is told which
    tokens are an image's, of one piece at a time.
    """
    if accepts(model.forward, "token_type_ids"):
        return False
    needs = ("layerwise_projectors", "reverse_embedding")
    deep = any(hasattr(module, name) for module in _modules(model) for name in needs)
    return not deep and not hasattr(vision_tower(model), "deepstack_merger_list")


def position_owner(model: nn.Module) -> Any:
    """Return the module that computes multimodal position ids, None where there is none."""
    for module in model.modules():
        if hasattr(module, "get_rope_index"):
            return module
    return None


def modeling_module(model: nn.Module) -> Any:
    """Return the Python module that the model's class is defined in."""
    module = inspect.getmodule(type(model))
    if module is None:
        raise LookupError(f"no module for {type(model).__name__}")
    return module


def remember(model: nn.Module) -> None:
    """Note the frequencies that a built model turns by, since some follow how far prompts reach."""
    module: Any
    for module in model.modules():
        # Only the decoder's follow a prompt; some vision towers have the frequencies alone.
        if hasattr(module, "original_inv_freq") and hasattr(module, "original_max_seq_len"):
            setattr(module, FRESH, module.inv_freq.clone())


def forget(model: nn.Module) -> None:
    """Drop what earlier calls left on the model object: ``rope_deltas``, frequencies, a cache."""
    # The static one of generate(), which some releases keep until another size is asked for.
    model.__dict__.pop("_cache", None)
    module: Any
    for module in _modules(model):
        if (fresh := module.__dict__.get(FRESH)) is not None:
            module.register_buffer("inv_freq", fresh.clone(), persistent=False)
            module.max_seq_len_cached = module.original_max_seq_len
    forget_deltas(model)


def forget_deltas(model: nn.Module) -> None:
    """Drop the ``rope_deltas`` that computing position ids leaves on the model object."""
    module: Any
    for module in _modules(model):
        if module.__dict__.get("rope_deltas") is not None:
            module.rope_deltas = None


def _modules(model: nn.Module) -> tuple[nn.Module, ...]:
    """Return all modules of a model; walking the tree for each call took a tenth of all time."""
    found: tuple[nn.Module, ...] | None = model.__dict__.get(MODULES)
    if found is None:
        # Into the dictionary, past nn.Module's own bookkeeping.
        found = model.__dict__[MODULES] = tuple(model.modules())
    return found


def rope_index(
    model: nn.Module,
    input_ids: torch.Tensor,
    token_types: torch.Tensor,
    tensors: Mapping[str, torch.Tensor],
    attention_mask: torch.Tensor | None,
) -> torch.Tensor:
    """Return the model's own position ids, shape (axes, batch, tokens), dtype int64.

    One axis for text models, which number a row's tokens; else three. The state that some releases
    keep from it is dropped again by the caller where it matters.

    Args:
        model: the model.
        input_ids: (batch, width).
        token_types: (batch, width), as ``mm_token_type_ids``.
        tensors: what the model is handed of images and videos; grids and times count here.
        attention_mask: (batch, width), or None.
    """
    owner = position_owner(model)
    if owner is None:
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        return (mask.cumsum(-1) - 1).clamp(min=0)[None]
    arguments: dict[str, Any] = {"input_ids": input_ids, "attention_mask": attention_mask}
    for name in GRIDS:
        if name in tensors and accepts(owner.get_rope_index, name):
            arguments[name] = tensors[name]
    if accepts(owner.get_rope_index, "mm_token_type_ids"):
        arguments["mm_token_type_ids"] = token_types
    positions = owner.get_rope_index(**arguments)[0]
    if not isinstance(positions, torch.Tensor):
        raise TypeError("get_rope_index did not return a tensor")
    return positions


def sees_packed_positions() -> bool:
    """Tell whether masks of text models follow position ids that begin anew (since 4.53)."""
    try:
        masks = importlib.import_module("transformers.masking_utils")
    except ImportError:
        return False
    return hasattr(masks, "find_packed_sequence_indices")


def seen_tokens(cache: Any) -> int:
    """Return how many tokens a cache holds, 0 for None."""
    return 0 if cache is None else int(cache.get_seq_length())
