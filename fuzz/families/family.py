"""The form of a family's data: a tiny config and the few facts that cannot be read off it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Family:
    """One model family.

    Attributes:
        name: what it is called here; transformers' ``model_type`` unless that is given apart.
        title: what people call it.
        since: first transformers release that has it.
        architecture: the class in transformers that checkpoints of the family name.
        config: a small configuration in the form that checkpoints of the family have on disk
            (every release reads that form), with all structure kept: patch and merge sizes,
            proportions of ``mrope_section``, grouped query heads, head size 32.
        processor: keyword arguments of the image or audio processor, beside its own defaults; none
            for a text model.
        frame_tokens: tokens around an image's cells (its start and end marker).
        special: one sentence on what is special about it.
        placing: how an image becomes tokens and tensors, a name in :mod:`fuzz.worker.placing`;
            "" where that is not known, and images are not drawn.
        video: how a video becomes tokens, a name in :mod:`fuzz.worker.video`, "" where none is.
        audio: how a recording becomes tokens; ``windows`` (:mod:`fuzz.worker.audio`) or "" where
            the family takes none.
        without_video: why no videos are drawn, "" for a text model.
        most_tiles: most tiles of an image, a small whole beside them included.
        told_of_tokens: what the model is told of each token beside its id: ``images`` (which ones
            are placeholders), ``prefix`` (which ones are not yet the answer) or "" for nothing.
        image_processor: the image processor's model type, where it is not the family's own.
        not_applicable: for each property that says nothing about the family the reason.
        pairs: which elements of a head turn together, ``halves`` (one of the first half with one
            of the second), ``neighbours``, or ``neighbours_apart``, which are neighbours before
            they turn and lie in halves after it.
        unturned: the kind of layers (in the config's ``layer_types``) that has no positions, ""
            where all have.
        not_relative: why logits depend on positions themselves and not on their differences
            alone, "" where they do not.
        attention: the attention implementation of its targets where none is asked for.
        model_type: transformers' ``model_type`` where the name is another one: a form of a family
            that is a family here.
    """

    name: str
    title: str
    since: str
    architecture: str
    config: Mapping[str, Any]
    processor: Mapping[str, Any]
    frame_tokens: int
    special: str
    placing: str = "grid"
    video: str = ""
    audio: str = ""
    without_video: str = ""
    most_tiles: int = 1
    told_of_tokens: str = ""
    image_processor: str = ""
    not_applicable: Mapping[str, str] = field(default_factory=dict)
    pairs: str = "halves"
    unturned: str = ""
    not_relative: str = ""
    attention: str = "sdpa"
    model_type: str = ""

    @property
    def listed(self) -> bool:
        """Whether it has a file of data; the others are read off a checkpoint directory."""
        return bool(self.config)

    @property
    def kind(self) -> str:
        """What transformers calls the family: the ``model_type`` of its configs."""
        return self.model_type or self.name
