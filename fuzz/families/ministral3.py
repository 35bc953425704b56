"""Ministral 3: its model card and configuration."""

from __future__ import annotations

from typing import Final

from fuzz.families.family import Family

FAMILY: Final = Family(
    name="ministral3",
    title="Ministral 3",
    since="5.0.0",
    architecture="Ministral3ForCausalLM",
    config={
        "vocab_size": 160,
        "hidden_size": 128,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 32,
        "max_position_embeddings": 512,
        "rms_norm_eps": 1e-5,
        "rope_parameters": {
            "type": "yarn",
            "rope_type": "yarn",
            "rope_theta": 1000000.0,
            "factor": 16.0,
            "beta_fast": 32.0,
            "beta_slow": 1.0,
            "mscale": 1.0,
            "mscale_all_dim": 1.0,
            # Of the released 16384, what prompts of a few dozen tokens reach past.
            "original_max_position_embeddings": 32,
            "llama_4_scaling_beta": 0.1,
        },
        "tie_word_embeddings": False,
        "pad_token_id": 150,
        "bos_token_id": 151,
        "eos_token_id": 152,
    },
    processor={},
    frame_tokens=0,
    special="queries grow with the logarithm of how many original maximums their position is past; "
    "YaRN",
    not_relative="queries are lengthened by where they stand, not only by how far from a key",
)
