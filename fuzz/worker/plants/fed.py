"""What a decoder is called with."""

from __future__ import annotations

from typing import Any

import torch


def fed(kwargs: dict[str, Any]) -> torch.Tensor:
    """Return what a decoder is fed: embeddings (rows, tokens, hidden) or ids (rows, tokens).

    Multimodal models hand their decoder embeddings; text models are their decoder's first caller.
    """
    embeds = kwargs.get("inputs_embeds")
    given: torch.Tensor = kwargs["input_ids"] if embeds is None else embeds
    return given
