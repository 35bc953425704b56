"""Phi-3.5: arXiv:2404.14219."""

from __future__ import annotations

from typing import Final

from fuzz.families.family import Family

FAMILY: Final = Family(
    name="phi3",
    title="Phi-4-mini",
    since="4.45.0",
    architecture="Phi3ForCausalLM",
    config={
        "vocab_size": 160,
        "hidden_size": 128,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 128,
        "original_max_position_embeddings": 32,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "partial_rotary_factor": 0.75,
        "rope_scaling": {
            "type": "longrope",
            "short_factor": [1.0 + 0.01 * pair for pair in range(12)],
            "long_factor": [1.0 + 0.2 * pair for pair in range(12)],
        },
        "sliding_window": None,
        "tie_word_embeddings": True,
        "pad_token_id": 150,
        "bos_token_id": 151,
        "eos_token_id": 152,
    },
    processor={},
    frame_tokens=0,
    special="queries, keys and values in one projection; LongRoPE over a part of each head, whose "
    "cache is dropped where generated tokens pass the original maximum",
)
