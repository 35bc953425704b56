"""SmolLM3: its model card and configuration."""

from __future__ import annotations

from typing import Final

from fuzz.families.family import Family

FAMILY: Final = Family(
    name="smollm3",
    title="SmolLM3",
    since="4.53.0",
    architecture="SmolLM3ForCausalLM",
    config={
        "vocab_size": 160,
        "hidden_size": 128,
        "intermediate_size": 64,
        "num_hidden_layers": 3,
        # Every fourth of the released layers does not turn.
        "no_rope_layers": [1, 0, 1],
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 65536,
        "rms_norm_eps": 1e-6,
        "rope_theta": 5000000.0,
        "tie_word_embeddings": True,
        "pad_token_id": 150,
        "bos_token_id": 151,
        "eos_token_id": 152,
    },
    processor={},
    frame_tokens=0,
    special="some layers know of no positions (NoPE)",
)
