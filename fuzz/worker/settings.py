"""What a release makes of a target's settings, read back: config, processor, weights."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

from fuzz.worker import release
from fuzz.worker.subject import Subject, model_of, stable_name

_OF_THE_RELEASE: Final = (
    "transformers_version",
    "model_type",
    "dtype",
    "torch_dtype",
    "architectures",
)
_LIMITS: Final = {
    "min_pixels": ("min_pixels", "shortest_edge"),
    "max_pixels": ("max_pixels", "longest_edge"),
}


def settings_of(subject: Subject) -> dict[str, Any]:
    """Return what is in effect, by name, as JSON-ready data.

    Returns:
        ``config``: plain values, those of the text model under their own name wherever a release
        keeps them; ``processor``: likewise; ``rope``: what turns, whatever it is called;
        ``weights``: for each parameter of the model its shape and a checksum of its values.
    """
    config: dict[str, Any] = _flat(subject.config.to_dict())
    text = release.text_config(subject.config)
    config |= _flat(text.to_dict())
    config |= {k.removeprefix("text_config."): v for k, v in list(config.items())}
    kept = {k: v for k, v in config.items() if not k.startswith("text_config.")}
    kept["sliding window in effect"] = release.sliding_window(text)
    return {
        "config": kept,
        "rope": _rope(subject),
        "processor": _processor(subject.processor),
        "weights": _weights(subject),
    }


def _rope(subject: Subject) -> dict[str, Any]:
    layers = release.text_config(subject.config).num_hidden_layers
    return {
        f"layer {n} {name}": list(value) if isinstance(value, tuple) else value
        for n in range(layers)
        for name, value in asdict(release.rope_settings(subject.config, n)).items()
    }


def _processor(processor: Any) -> dict[str, Any]:
    if processor is None:
        return {}
    given = processor.to_dict()
    size = given.pop("size", None)
    sizes = dict(size) if isinstance(size, Mapping) else {}
    flat = _flat(given)
    for name, keys in _LIMITS.items():
        flat.pop(name, None)
        found = next((sizes.pop(k) for k in keys if sizes.get(k) is not None), None)
        flat[name] = found if found is not None else getattr(processor, name, None)
    return flat | {f"size.{name}": v for name, v in sizes.items() if _plain(v) and v is not None}


def _weights(subject: Subject) -> dict[str, Any]:
    found = {}
    for name, parameter in model_of(subject).named_parameters():
        data = parameter.detach().double().cpu().numpy()
        found[stable_name(name)] = [*parameter.shape, zlib.crc32(data.tobytes())]
    return found


def _flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the plain values of a nested table, by their path."""
    flat: dict[str, Any] = {}
    for key, value in table.items():
        if str(key).startswith("_") or key in _OF_THE_RELEASE:
            continue
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        elif _plain(value):
            flat[f"{prefix}{key}"] = value
    return flat


def _plain(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(_plain(v) for v in value)
    return value is None or isinstance(value, (bool, int, float, str))
