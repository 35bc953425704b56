"""Which layers of a decoder turn their queries and keys, and how much of a head does."""

from __future__ import annotations

from typing import Any

from fuzz.worker.release import text_config


def turning_layers(config: Any, unturned: str = "") -> tuple[int, ...]:
    """Return the numbers of the decoder's layers whose queries and keys turn.

    Args:
        config: of the whole model.
        unturned: the kind of layers that has no positions, where one has.
    """
    text = text_config(config)
    layers = range(int(text.num_hidden_layers))
    kinds = getattr(text, "layer_types", None) or [""] * len(layers)
    turning = getattr(text, "no_rope_layers", None) or [1] * len(layers)
    # What those see are images, which have no positions.
    across = getattr(text, "cross_attention_layers", None) or ()
    without = ("linear_attention", unturned or "linear_attention")
    turned = [n for n in layers if turning[n] and kinds[n] not in without]
    return tuple(n for n in turned if n not in across)


def latent_head(config: Any) -> int:
    """Return the size of a head of latent attention (MLA), of which a part turns; 0 for others."""
    text = text_config(config)
    turning = getattr(text, "qk_rope_head_dim", None) or 0
    return int(text.qk_nope_head_dim + turning) if turning else 0
