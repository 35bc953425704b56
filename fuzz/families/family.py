"""The form of a family's data: a tiny config and the few facts that cannot be read off it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Family:
    """One model family.

    Attributes:
        name: transformers' ``model_type``.
        title: what people call it.
        since: first transformers release that has it.
        architecture: the class in transformers that checkpoints of the family name.
        config: a small configuration in the form that checkpoints of the family have on disk
            (every release reads that form), with all structure kept: patch and merge sizes,
            proportions of ``mrope_section``, grouped query heads, head size 32.
        processor: keyword arguments of the image processor, beside its own defaults; none for a
            text model.
        frame_tokens: tokens around an image's cells (its start and end marker).
        special: one sentence on what is special about it.
    """

    name: str
    title: str
    since: str
    architecture: str
    config: Mapping[str, Any]
    processor: Mapping[str, Any]
    frame_tokens: int
    special: str
