"""Qwen2 and Qwen2.5 (text): arXiv:2407.10671."""

from __future__ import annotations

from typing import Final

from fuzz.families.family import Family

FAMILY: Final = Family(
    name="qwen2",
    title="Qwen2 and Qwen2.5 (text)",
    since="4.45.0",
    architecture="Qwen2ForCausalLM",
    config={
        "vocab_size": 160,
        "hidden_size": 128,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
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
    special="as llama, with biases on queries, keys and values",
)
