"""What a script has to know of a family, read off its data."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from fuzz.errors import UsageProblem
from fuzz.families.family import Family
from strategies.geometry import Geometry

PROCESSORS: Final = {
    "qwen2_vl": "Qwen2VL",
    "qwen2_5_vl": "Qwen2VL",
    "qwen3_vl": "Qwen2VL",
    "qwen3_5": "Qwen2VL",
    "qwen3_5_moe": "Qwen2VL",
    "qwen3_vl_moe": "Qwen2VL",
    "glm4v": "Glm4v",
    "glm46v": "Glm46V",
    "hunyuan_vl": "HunYuanVL",
    "llava": "Llava",
    "llava_next": "LlavaNext",
    "llava_onevision": "LlavaOnevision",
    "got_ocr2": "GotOcr2",
    "idefics3": "Idefics3",
    "smolvlm": "SmolVLM",
    "pixtral": "Pixtral",
    "mistral3": "Pixtral",
    "gemma3": "Gemma3",
    "siglip": "Siglip",
    "paligemma": "Siglip",
    "mllama": "Mllama",
}
"""By model type, the image processor's class in transformers without ``ImageProcessor``."""


@dataclass(frozen=True, slots=True)
class Facts:
    """One family, as its tiny configuration has it.

    Attributes:
        family: its data.
        padding: id of the padding token.
        special: ids that are not text, ascending.
        image: id of an image's placeholder, -1 without images.
        marks: ids of the markers before and after an image, none where there are none.
        axes: of position ids, 1 where the model has no multimodal ones.
        window: tokens that sliding attention sees, 0 without any.
        linear: whether some layers are of linear attention, whose cache is a state.
        whole_images: whether all images of a prompt have to be in its first piece.
        video: id of a video's placeholder, -1 where it has none of its own.
        film: ids of the markers before and after a video, none where there are none.
    """

    family: Family
    padding: int
    special: tuple[int, ...]
    image: int
    marks: tuple[int, ...]
    axes: int
    window: int
    linear: bool
    whole_images: bool
    video: int = -1
    film: tuple[int, ...] = ()

    @property
    def limit(self) -> int:
        """Text tokens have ids below it."""
        return self.special[0]


def facts_of(family: Family) -> Facts:
    """Read the facts of a family."""
    config = family.config
    ids = {
        name: value
        for name, value in _leaves(config)
        if name.endswith(("_id", "_token_index")) and isinstance(value, int)
    }
    sections = next((v for n, v in _leaves(config) if n in SECTIONS), ())
    text = config.get("text_config", config)
    windowed = text.get("use_sliding_window", True)
    return Facts(
        family=family,
        padding=ids["pad_token_id"],
        special=tuple(sorted({i for i in ids.values() if i < text["vocab_size"]})),
        image=ids.get("image_token_id", ids.get("image_token_index", -1)),
        marks=_marks(ids),
        axes=max(3, len(sections)) if sections else 1,
        window=int(text.get("sliding_window") or 0) if windowed else 0,
        linear=any("linear" in name for name, _ in _leaves(text)),
        whole_images=family.told_of_tokens == "images"
        or "deepstack_visual_indexes" in config.get("vision_config", {}),
        video=ids.get("video_token_id", -1),
        film=tuple(ids[n] for n in ("video_start_token_id", "video_end_token_id") if n in ids),
    )


SECTIONS: Final = ("mrope_section", "xdrope_section")


_14: Final = {"patch_size": 14, "spatial_merge_size": 2, "temporal_patch_size": 2}
_16: Final = {"patch_size": 16, "spatial_merge_size": 2, "temporal_patch_size": 2}
_TEXT: Final = {"max_position_embeddings": 32768, "use_sliding_window": False}

DEFAULTS: Final[Mapping[str, Mapping[str, Any]]] = {
    "qwen2_vl": {**_TEXT, "vision_config": _14},
    "qwen2_5_vl": {"vision_config": _14},
    "qwen3_vl": {"tie_word_embeddings": False, "vision_config": _16},
    "qwen3_vl_moe": {"tie_word_embeddings": False, "vision_config": _16},
    "qwen3_5": {
        "tie_word_embeddings": False,
        "text_config": {"max_position_embeddings": 32768},
        "vision_config": _16,
    },
    "qwen3_5_moe": {
        "tie_word_embeddings": False,
        "text_config": {"max_position_embeddings": 32768},
        "vision_config": _16,
    },
    "glm4v": {"vision_config": _14},
    "glm4v_moe": {"vision_config": _14},
    "glm46v": {"vision_config": _14},
    "glm_ocr": {"tie_word_embeddings": False, "vision_config": _14},
    "qwen2": {**_TEXT, "rms_norm_eps": 1e-6, "tie_word_embeddings": False},
    "llama": {"rms_norm_eps": 1e-6, "tie_word_embeddings": False},
}
"""By ``model_type``, what the defaults of transformers' configurations are.

The same in 4.45.2, 4.49.0, 4.57.6, 5.0.0, 5.2.0, 5.15.0 and 5.23.0, where they know the family."""

AROUND_IMAGES: Final = re.compile(r"(image|vision_start|vision_end)_token_id")
"""Ids that nothing looks at as long as there is no image."""

AROUND_VIDEOS: Final = re.compile(r"video(_start|_end)?_token_id")
"""Ids that nothing looks at as long as there is no video."""


def config_of(
    family: Family, *, all_experts: bool = False, images: bool = True, videos: bool = True
) -> dict[str, Any]:
    """Return the configuration that a script writes out: what is not a default and can matter.

    Args:
        family: the family.
        all_experts: every expert of a mixture takes part in every token, as in low precision.
        images: whether there are any, or videos.
        videos: whether there are any.
    """
    config = _without(_plain(family.config), DEFAULTS.get(family.kind, {}))
    for unused in (*(() if videos else (AROUND_VIDEOS,)), *(() if images else (AROUND_IMAGES,))):
        config = {n: v for n, v in config.items() if not unused.fullmatch(n)}
    text = config.get("text_config", config)
    if all_experts:
        for name in ("num_experts", "n_routed_experts"):
            if name in text:
                text["num_experts_per_tok"] = text[name]
    return config


def _without(config: dict[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: _without(value, defaults.get(name, {})) if isinstance(value, dict) else value
        for name, value in config.items()
        if isinstance(value, dict) or name not in defaults or defaults[name] != value
    }


def has_experts(family: Family) -> bool:
    """Tell whether a family's layers have mixtures of experts."""
    return any(name in ("num_experts", "n_routed_experts") for name, _ in _leaves(family.config))


def processor_class(family: Family) -> str:
    """Return the image processor's class without ``ImageProcessor``.

    Raises:
        UsageProblem: it is not known here.
    """
    name = PROCESSORS.get(family.image_processor or family.kind, "")
    if not name:
        raise UsageProblem(f"the image processor of {family.name} is not supported in scripts")
    return name


def processor_settings(family: Family) -> dict[str, Any]:
    """Return what the image processor is made with."""
    settings: dict[str, Any] = {}
    if family.placing.startswith("grid"):
        vision = family.config["vision_config"]
        settings = {
            "patch_size": vision["patch_size"],
            "merge_size": vision["spatial_merge_size"],
            "temporal_patch_size": vision["temporal_patch_size"],
        }
    return {**settings, **_plain(family.processor)}


def tokens_of_tile(family: Family) -> int:
    """Return how many placeholders an image of the tower's own size becomes."""
    config = family.config
    if (stated := config.get("mm_tokens_per_image")) is not None:
        return int(stated)
    vision = config["vision_config"]
    size, patch = (
        int(x[0] if isinstance(x, (list, tuple)) else x)
        for x in (vision["image_size"], vision["patch_size"])
    )
    merge = config.get("scale_factor") or 1 / config.get("downsample_ratio", 1)
    side = size // patch / merge
    return int(side * side)


def geometry_of(family: Family) -> Geometry:
    """Return the sizes that the family's data states, for a family whose images have grids."""
    vision, settings = family.config["vision_config"], family.processor
    limits = settings.get("size", {})
    # GLM's processors count the pixels of all frames that a patch spans.
    frames = vision["temporal_patch_size"] if limits else 1
    return Geometry(
        images=True,
        patch=vision["patch_size"],
        merge=vision["spatial_merge_size"],
        temporal_patch=vision["temporal_patch_size"],
        window=0,
        min_pixels=(settings.get("min_pixels") or limits["shortest_edge"]) // frames,
        max_pixels=(settings.get("max_pixels") or limits["longest_edge"]) // frames,
        max_aspect=200,
        max_positions=0,
        sliding_window=0,
        frame_tokens=family.frame_tokens,
    )


def _marks(ids: Mapping[str, int]) -> tuple[int, ...]:
    for pair in (
        ("vision_start_token_id", "vision_end_token_id"),
        ("image_start_token_id", "image_end_token_id"),
        ("im_start_id", "im_end_id"),
        ("boi_token_index", "eoi_token_index"),
        ("boi_token_id", "eoi_token_id"),
    ):
        if all(name in ids for name in pair):
            return ids[pair[0]], ids[pair[1]]
    return ()


def _leaves(config: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in config.items():
        if isinstance(value, Mapping):
            yield from _leaves(value)
        else:
            yield name, value


def _plain(config: Mapping[str, Any]) -> dict[str, Any]:
    return {n: _plain(v) if isinstance(v, Mapping) else v for n, v in config.items()}
