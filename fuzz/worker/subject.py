"""The Subject: a Target made real: its config, its image processor, its models."""

from __future__ import annotations

import copy
import math
import zlib
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import torch
from torch import nn

from fuzz import checkpoint
from fuzz.errors import UsageProblem
from fuzz.families.family import Family
from fuzz.target import REAL, Target
from fuzz.verdict import Signature
from fuzz.worker import release
from fuzz.worker.errors import WorkerSetupError
from fuzz.worker.exact import LOW, lane
from fuzz.worker.patches import as_product
from fuzz.worker.quantized import Scheme, on_grid, quantized_names, scheme_of
from fuzz.worker.slim import slim
from fuzz.worker.stored import Checkpoint, load
from fuzz.worker.unlisted import family_for

CORRECTION: Final = "e_score_correction_bias"
"""Buffer of a mixture of experts: what is added to the scores by which experts are chosen."""


@dataclass(frozen=True, slots=True)
class Build:
    """How a model is built.

    Attributes:
        attn: attention implementation.
        gain: see :func:`set_weights`.
        dtype: lane that it is built in.
        rounded: dtype that its weights are rounded to before they take that of the lane, "" for
            none.
        cast: dtype that the finished model is cast to with ``model.to``, "" for none.
        experts: how experts are computed, "" as the lane needs it.
    """

    attn: str
    gain: float
    dtype: str
    rounded: str = ""
    cast: str = ""
    experts: str = ""


@dataclass(slots=True)
class Subject:
    """What a worker holds for its one Target.

    Attributes:
        target: the target.
        family: its family's data.
        config: the transformers configuration in effect.
        processor: the image processor, or that of audio, the family's real class; None for a text
            model.
        device: where the models live.
        plant: puts the target's plants into a freshly built model.
        checkpoint: the checkpoint directory, None for a family's tiny configuration.
        models: models built so far.
        placed: what the processor has made of images so far, by what was asked for. Whoever starts
            on a case clears it, so that what a case was given never depends on an earlier one.
        believed: whether a failure that was seen is one in every way that it was looked at.
    """

    target: Target
    family: Family
    config: Any
    processor: Any
    device: torch.device
    plant: Callable[[nn.Module], None]
    checkpoint: Checkpoint | None = None
    models: dict[Build, Any] = field(default_factory=dict)
    placed: dict[Hashable, Any] = field(default_factory=dict)
    believed: dict[Signature | None, bool] = field(default_factory=dict)


def make_subject(target: Target, plant: Callable[[nn.Module], None]) -> Subject:
    """Build the config and the image processor of a target.

    Raises:
        WorkerSetupError: the model directory cannot be used.
    """
    from transformers import AutoConfig

    family = family_for(target)
    stored: Checkpoint | None = None
    if target.model:
        stored, settings, processor_settings = _from_directory(Path(target.model), family)
    else:
        settings, processor_settings = copy.deepcopy(dict(family.config)), dict(family.processor)
    try:
        config = AutoConfig.for_model(family.kind, **settings)
    except Exception as error:
        if not target.model:
            raise
        # What a file says wrong is told in whatever way the release has.
        said = " ".join(str(error).split())[:200]
        raise WorkerSetupError(
            f"{Path(target.model) / 'config.json'}: not a config of {family.kind}: {said}"
        ) from None
    towers = [getattr(config, f"{name}_config", None) for name in ("vision", "audio", "qformer")]
    _without_dropout(config, release.text_config(config), *towers)
    device = torch.device(target.device)
    processor = _processor(family, config, processor_settings)
    if stored is not None and target.weights == REAL:
        stored = replace(stored, values=load(stored, _class_of(family), config))
    return Subject(target, family, config, processor, device, plant, stored)


def model_of(
    subject: Subject,
    attn: str | None = None,
    gain: float = 1.0,
    *,
    dtype: str = "",
    rounded: str = "",
    cast: str = "",
    experts: str = "",
) -> Any:
    """Return the model of a :class:`Build`; attention and dtype are by default the target's.

    Models are kept. Nothing an earlier call left on the object is kept: it is dropped here.
    """
    target = subject.target
    build = Build(attn or target.attn, gain, dtype or target.dtype, rounded, cast, experts)
    if build not in subject.models:
        subject.models[build] = _build(subject, build)
    model = subject.models[build]
    release.forget(model)
    return model


def special_ids(config: Any) -> list[int]:
    """Return the token ids that are not text, ascending."""
    text = release.text_config(config)
    found: set[int] = set()
    for holder in (config, text):
        # As they are kept: asking a config by name is slow in 5.23, and each prompt asks.
        for name, value in vars(holder).items():
            if name.endswith(("_id", "_token_index")) and isinstance(value, int):
                found.add(value)
    for name in ("pad_token_id", "bos_token_id", "eos_token_id"):
        value = getattr(text, name, None)
        if isinstance(value, int):
            found.add(value)
    return sorted(i for i in found if 0 <= i < text.vocab_size)


def text_ids(config: Any) -> range:
    """Return the longest row of token ids that are text."""
    size = int(release.text_config(config).vocab_size)
    ends = [-1, *special_ids(config), size]
    return max((range(a + 1, b) for a, b in pairwise(ends)), key=len)


def _without_dropout(*configs: Any) -> None:
    """Set every dropout to 0: what chance decides cannot be compared. Only training has any."""
    for config in filter(None, configs):
        for name, value in vars(config).items():
            if "dropout" in name and isinstance(value, float):
                setattr(config, name, 0.0)


def _class_of(family: Family) -> Any:
    import transformers

    return getattr(transformers, family.architecture)


def _build(subject: Subject, build: Build) -> Any:
    cls = _class_of(subject.family)
    config = copy.deepcopy(subject.config)
    with lane(build.dtype):
        if build.dtype in LOW or build.rounded or build.cast:
            release.use_all_experts(config)
        if low := LOW.get(build.dtype):
            # As loading a checkpoint does it: weights in that dtype, rotary frequencies in float32.
            arguments = release.in_dtype(config, low)
            model = cls._from_config(config, attn_implementation=build.attn, **arguments).eval()
        else:
            experts = release.experts_by_loop() if build.dtype == "exact" else {}
            if build.experts:
                experts = {"experts_implementation": build.experts}
            model = cls._from_config(config, attn_implementation=build.attn, **experts)
            model = model.to(torch.get_default_dtype()).eval()
        rounded = LOW.get(build.rounded)
        if (stored := subject.checkpoint) is None:
            set_weights(model, build.gain, rounded)
        else:
            names = on_a_grid(model, stored)
            set_weights(model, build.gain, rounded, stored.values, stored.scheme, names)
        if build.cast:
            model = model.to(LOW[build.cast])
        model = model.to(subject.device)
    release.remember(model)
    as_product(model)
    subject.plant(model)
    return model


def on_a_grid(model: nn.Module, stored: Checkpoint) -> frozenset[str]:
    """Return the parameters whose random values are rounded as the checkpoint's were."""
    if stored.scheme is None or stored.values:
        return frozenset()
    return quantized_names(model, stored.scheme, stored.kept)


def set_weights(
    model: nn.Module,
    gain: float,
    rounded: torch.dtype | None = None,
    values: Mapping[str, torch.Tensor] = MappingProxyType({}),
    scheme: Scheme | None = None,
    gridded: frozenset[str] = frozenset(),
) -> None:
    """Set every parameter, and every bias of a router, absolutely: to its real value, or randomly.

    Random values come from a seed of the parameter's own name.

    transformers' initialization (standard deviation 0.02) makes a small model nearly blind to
    positions; matrices at unit fan-in gain are not. The name is taken without the prefixes
    that releases have moved around, so that a parameter keeps its value across releases.

    Args:
        model: the model; its parameters keep their dtype.
        gain: factor on every matrix, relative to its real value or to unit fan-in gain.
        rounded: dtype that the values are rounded to first.
        values: real ones by name, none for random ones; buffers that are saved among them.
        scheme: how matrices are quantized.
        gridded: parameters that are rounded to what that leaves of them.
    """
    for name, parameter in model.named_parameters():
        value = values[name].double() if values else _drawn(name, parameter)
        if parameter.ndim >= 2 and "embed_tokens" not in name:
            value = value * gain
        if scheme is not None and name in gridded:
            # What a low dtype makes of them comes after, as in loading.
            value = on_grid(value, scheme)
        parameter.data.copy_(value if rounded is None else value.to(rounded))
    for name, buffer in model.named_buffers():
        if name in values:
            buffer.copy_(values[name])
        elif name.endswith(CORRECTION):
            # Learned, though not by gradients; without it experts are chosen by scores alone.
            value = _drawn(name, buffer)
            buffer.copy_(value if rounded is None else value.to(rounded))


def _drawn(name: str, parameter: torch.Tensor) -> torch.Tensor:
    """Return a parameter's random value: unit fan-in gain for matrices, float64."""
    generator = torch.Generator().manual_seed(zlib.crc32(stable_name(name).encode()))
    drawn = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    if parameter.ndim < 2:
        drawn = drawn * 0.1
        if "norm" in name or "ln_q" in name:
            drawn = drawn + (1.0 if name.endswith("weight") else 0.0)
    elif "embed_tokens" not in name:
        drawn = drawn * (1.0 / math.sqrt(parameter[0].numel()))
    return drawn


def stable_name(name: str) -> str:
    """Return a parameter's name without the prefixes that releases have moved around."""
    parts = [p for p in name.split(".") if p not in ("model", "language_model")]
    return ".".join(parts)


def _processor(family: Family, config: Any, settings: dict[str, Any]) -> Any:
    if family.audio:
        from fuzz.worker.audio import make_processor  # which needs this module

        return make_processor(config, settings)
    vision = release.vision_config(config)
    if vision is None or not family.placing:
        return None
    if family.placing.startswith("grid"):
        settings = {
            "patch_size": vision.patch_size,
            "merge_size": vision.spatial_merge_size,
            "temporal_patch_size": vision.temporal_patch_size,
            **settings,
        }
    if family.placing == "lines":
        # Patches of merged cells, as the family's processor tells its image processor.
        cell = vision.patch_size * getattr(config, "spatial_merge_size", 1)
        settings = {**settings, "patch_size": {"height": cell, "width": cell}}
    cls = _processor_class(family.image_processor or config.model_type)
    try:
        return cls(**settings)
    except ImportError as error:
        # Some releases' Pillow classes ask for torchvision all the same.
        said = next((line for line in str(error).splitlines() if line.strip()), "")
        raise WorkerSetupError(f"{cls.__name__} cannot be made: {said}") from None


def _processor_class(model_type: str) -> Any:
    import importlib

    auto: Any = importlib.import_module("transformers.models.auto.image_processing_auto")
    names = auto.IMAGE_PROCESSOR_MAPPING_NAMES[model_type]
    # 5.x maps backends to names, 4.x lists the slow (Pillow) class first, 4.45 gives one name.
    name = names["pil"] if isinstance(names, dict) else names
    name = name[0] if isinstance(name, tuple) else name
    lookup = getattr(auto, "get_image_processor_class_from_name", None) or (
        auto.image_processor_class_from_name
    )
    return lookup(name)


def _from_directory(
    folder: Path, family: Family
) -> tuple[Checkpoint, dict[str, Any], dict[str, Any]]:
    """Return a checkpoint directory, its config's settings cut slim, its processor's settings."""
    try:
        settings = checkpoint.config_in(folder)
        stored = checkpoint.processor_in(folder)
    except UsageProblem as problem:
        raise WorkerSetupError(str(problem)) from None
    model_type = settings.pop("model_type", None)
    wanted = family.kind if family.listed else family.name
    if model_type != wanted:
        raise WorkerSetupError(
            f"{folder / 'config.json'}: expected model_type {wanted!r}, got {model_type!r}"
        )
    scheme = scheme_of(settings)
    whole = Checkpoint(folder, slim(settings), scheme)
    settings.pop("transformers_version", None)
    settings.pop("torch_dtype", None)
    settings.pop("dtype", None)
    processor: dict[str, Any] = dict(family.processor)
    if stored is not None:
        limits = stored.get("size") or {}
        for ours, names in (
            ("min_pixels", ("min_pixels", "shortest_edge")),
            ("max_pixels", ("max_pixels", "longest_edge")),
        ):
            for source, name in ((stored, names[0]), (limits, names[1])):
                if isinstance(source, dict) and isinstance(source.get(name), int):
                    processor[ours] = source[name]
    if not family.processor:
        return whole, settings, {}
    if "max_pixels" not in family.processor:
        return whole, settings, _as_stored(family, stored or {})
    # A forward must stay cheap: the largest image is capped, the smallest is as released.
    processor["max_pixels"] = min(processor["max_pixels"], family.processor["max_pixels"])
    return whole, settings, processor


def _as_stored(family: Family, stored: dict[str, Any]) -> dict[str, Any]:
    """Return a processor's settings as they are stored, but for the largest image's size."""
    settings = {name: stored.get(name, value) for name, value in family.processor.items()}
    longest = family.processor.get("size", {}).get("longest_edge")
    given = settings.get("size", {}).get("longest_edge")
    if family.placing == "lines" and longest and given:
        # Of the others the size decides which tiles the vision tower gets.
        settings["size"] = {"longest_edge": min(longest, given)}
    return settings
