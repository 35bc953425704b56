"""Qwen3 (text): arXiv:2505.09388."""

from __future__ import annotations

from typing import Final

from fuzz.families.family import Family

FAMILY: Final = Family(
    name="qwen3",
    title="Qwen3 (text)",
    since="4.51.0",
    architecture="Qwen3ForCausalLM",
    config={
        "vocab_size": 160,
        "hidden_size": 128,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        # Of the released ones some have heads wider than hidden_size over their number.
        "head_dim": 64,
        "max_position_embeddings": 32768,
        "rms_norm_eps": 1e-6,
        "rope_theta": 1000000.0,
        "tie_word_embeddings": False,
        "use_sliding_window": False,
        "pad_token_id": 150,
        "bos_token_id": 151,
        "eos_token_id": 152,
    },
    processor={},
    frame_tokens=0,
    special="as llama, with norms of queries and keys before they turn, and heads wider than "
    "hidden_size over their number",
)
