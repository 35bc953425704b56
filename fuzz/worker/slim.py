"""Fewer layers, of every kind that a checkpoint has: rotary and attention bugs need no depth."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Any, Final

SLIM_LAYERS: Final = 2
_DEPTHS: Final = ("num_hidden_layers", "depth")
# Lists of layer numbers: which layers of a kind there are.
_INDEXES: Final = ("fullatt_block_indexes", "mlp_only_layers")
_DEEPSTACK: Final = "deepstack_visual_indexes"


_LAYER: Final = re.compile(r"(?:^|\.)(?:layers|layer|blocks|block|h)\.(\d+)(?=\.|$)")
_OF_VISION: Final = ("vis", "vit", "image")
_OF_NEITHER: Final = ("audio", "speech", "sound")


@dataclass(frozen=True, slots=True)
class Kept:
    """Which layers of a checkpoint are kept, by their old numbers, ascending.

    Attributes:
        text: of the text model.
        vision: of the vision tower.
        text_depth: layers that the text model had.
        vision_depth: layers that the vision tower had.
    """

    text: tuple[int, ...]
    vision: tuple[int, ...]
    text_depth: int
    vision_depth: int


def slim(settings: dict[str, Any]) -> Kept:
    """Reduce the layers of a ``config.json`` in place, keeping one layer of every kind.

    Kept are the first layer of every kind, and the next ones until there are
    :data:`SLIM_LAYERS`. A vision tower keeps every layer that hands features to the text model
    (deepstack); the text model keeps one layer more than there are such features.

    Args:
        settings: the parsed ``config.json``; its ``text_config`` and ``vision_config`` too.

    Returns:
        Which layers were kept.
    """
    vision = settings.get("vision_config")
    text = settings.get("text_config")
    handed = 0
    of_vision: tuple[int, ...] = ()
    if isinstance(vision, dict):
        handed = len(_numbers(vision, _DEEPSTACK))
        of_vision = _slim(vision, SLIM_LAYERS)
    least = max(SLIM_LAYERS, handed + 1)
    of_text = _slim(settings, least)
    if isinstance(text, dict):
        of_text = _slim(text, least) or of_text
    return Kept(
        text=of_text[1:],
        vision=of_vision[1:],
        text_depth=sum(of_text[:1]),
        vision_depth=sum(of_vision[:1]),
    )


def new_names(names: Iterable[str], kept: Kept) -> dict[str, str]:
    """Return the names of a checkpoint's tensors that are kept, each with its new layer number.

    What is in no layer is kept, and so are layers of which there are fewer than the config says:
    they belong to neither the text model nor the vision tower.
    """
    names = tuple(names)
    depths: dict[str, int] = {}
    for name in names:
        if found := _LAYER.search(name):
            stem = name[: found.start(1)]
            depths[stem] = max(depths.get(stem, 0), int(found[1]) + 1)
    new = {}
    for name in names:
        found = _LAYER.search(name)
        if found is None:
            new[name] = name
            continue
        stem, number = name[: found.start(1)], int(found[1])
        numbers = _numbers_kept(stem, depths[stem], kept)
        if numbers is None:
            new[name] = name
        elif number in numbers:
            new[name] = f"{stem}{numbers.index(number)}{name[found.end(1) :]}"
    return new


def old_name(name: str, kept: Kept) -> str:
    """Return the name that a tensor or module of a slim model has in its checkpoint."""
    found = _LAYER.search(name)
    if found is None:
        return name
    stem, number = name[: found.start(1)], int(found[1])
    numbers = kept.vision if _is_of(stem, _OF_VISION) else kept.text
    if _is_of(stem, _OF_NEITHER) or number >= len(numbers):
        return name
    return f"{stem}{numbers[number]}{name[found.end(1) :]}"


def _numbers_kept(stem: str, depth: int, kept: Kept) -> tuple[int, ...] | None:
    """Return which layers of those under a stem are kept, None where all are."""
    if _is_of(stem, _OF_NEITHER):
        return None
    numbers, full = (
        (kept.vision, kept.vision_depth)
        if _is_of(stem, _OF_VISION)
        else (kept.text, kept.text_depth)
    )
    return numbers if full and depth >= full else None


def _is_of(stem: str, words: tuple[str, ...]) -> bool:
    return any(part.startswith(words) for part in stem.split("."))


def _slim(holder: dict[str, Any], least: int) -> tuple[int, ...]:
    """Reduce one config's layers in place; return how many there were, then those kept."""
    name = next((n for n in _DEPTHS if isinstance(holder.get(n), int)), None)
    if name is None:
        return ()
    depth: int = holder[name]
    kept = _kept(holder, depth, least)
    for key in _per_layer(holder, depth):
        holder[key] = [holder[key][i] for i in kept]
    for key in (*_INDEXES, _DEEPSTACK):
        if numbers := _numbers(holder, key):
            holder[key] = [new for new, old in enumerate(kept) if old in numbers]
    for key in ("first_k_dense_replace", "max_window_layers"):
        if isinstance(holder.get(key), int):
            holder[key] = sum(i < holder[key] for i in kept)
    holder[name] = len(kept)
    return (depth, *kept)


def _kept(holder: dict[str, Any], depth: int, least: int) -> list[int]:
    kept: set[int] = set()
    seen: set[Hashable] = set()
    for i in range(depth):
        kind = _kind(holder, depth, i)
        if kind not in seen or i in _numbers(holder, _DEEPSTACK):
            seen.add(kind)
            kept.add(i)
    for i in range(depth):
        if len(kept) >= least:
            break
        kept.add(i)
    return sorted(kept)


def _kind(holder: dict[str, Any], depth: int, i: int) -> Hashable:
    kind: list[Hashable] = [str(holder[key][i]) for key in _per_layer(holder, depth)]
    kind += [i in _numbers(holder, key) for key in (*_INDEXES, _DEEPSTACK)]
    if isinstance(dense := holder.get("first_k_dense_replace"), int):
        kind.append(i < dense)
    if isinstance(step := holder.get("decoder_sparse_step"), int) and step > 1:
        kind.append((i + 1) % step == 0)
    if holder.get("use_sliding_window") and isinstance(holder.get("max_window_layers"), int):
        kind.append(i < holder["max_window_layers"])
    return tuple(kind)


def _per_layer(holder: dict[str, Any], depth: int) -> list[str]:
    return [
        key
        for key, value in holder.items()
        if key.endswith("layer_types") and isinstance(value, list) and len(value) == depth
    ]


def _numbers(holder: dict[str, Any], key: str) -> list[int]:
    value = holder.get(key)
    return [i for i in value if isinstance(i, int)] if isinstance(value, list) else []
