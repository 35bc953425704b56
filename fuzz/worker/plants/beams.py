"""Defects of what ``generate`` does with several sequences of one prompt."""

from __future__ import annotations

from typing import Any

from fuzz.worker import release


def not_reordered(model: Any) -> None:
    """Leave a cache as it is when the beams it belongs to change places."""

    def hold(_module: object, _args: object, kwargs: dict[str, Any]) -> None:
        cache = kwargs.get("past_key_values")
        if cache is not None and hasattr(cache, "reorder_cache"):
            cache.reorder_cache = lambda _beams: None

    release.text_model(model).register_forward_pre_hook(hold, with_kwargs=True)
