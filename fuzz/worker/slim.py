"""Fewer layers, of every kind that a checkpoint has: rotary and attention bugs need no depth."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, Final

SLIM_LAYERS: Final = 2
_DEPTHS: Final = ("num_hidden_layers", "depth")
# Lists of layer numbers: which layers of a kind there are.
_INDEXES: Final = ("fullatt_block_indexes", "mlp_only_layers")
_DEEPSTACK: Final = "deepstack_visual_indexes"


def slim(settings: dict[str, Any]) -> None:
    """Reduce the layers of a ``config.json`` in place, keeping one layer of every kind.

    Kept are the first layer of every kind, and the next ones until there are
    :data:`SLIM_LAYERS`. A vision tower keeps every layer that hands features to the text model
    (deepstack); the text model keeps one layer more than there are such features.

    Args:
        settings: the parsed ``config.json``; its ``text_config`` and ``vision_config`` too.
    """
    vision = settings.get("vision_config")
    text = settings.get("text_config")
    handed = 0
    if isinstance(vision, dict):
        handed = len(_numbers(vision, _DEEPSTACK))
        _slim(vision, SLIM_LAYERS)
    least = max(SLIM_LAYERS, handed + 1)
    _slim(settings, least)
    if isinstance(text, dict):
        _slim(text, least)


def _slim(holder: dict[str, Any], least: int) -> None:
    name = next((n for n in _DEPTHS if isinstance(holder.get(n), int)), None)
    if name is None:
        return
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
