"""Command R7B and Command A: arXiv:2504.00698."""

from __future__ import annotations

from typing import Final

from fuzz.families.family import Family

FAMILY: Final = Family(
    name="cohere2",
    title="Command A",
    since="4.48.0",
    architecture="Cohere2ForCausalLM",
    config={
        "vocab_size": 160,
        "hidden_size": 128,
        "intermediate_size": 64,
        # Three sliding layers to a full one in the released checkpoints.
        "num_hidden_layers": 3,
        "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
        "sliding_window_pattern": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        # Of the released 4096, what prompts of a few dozen tokens reach past.
        "sliding_window": 16,
        "logit_scale": 0.25,
        "max_position_embeddings": 131072,
        "layer_norm_eps": 1e-5,
        "rope_theta": 50000.0,
        "tie_word_embeddings": True,
        "pad_token_id": 150,
        "bos_token_id": 151,
        "eos_token_id": 152,
    },
    processor={},
    frame_tokens=0,
    special="sliding layers turn neighbouring elements together, full ones know of no positions; "
    "attention and feed-forward side by side",
    pairs="neighbours",
    unturned="full_attention",
)
