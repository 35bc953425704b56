"""Mistral: arXiv:2310.06825."""

from __future__ import annotations

from typing import Final

from fuzz.families.family import Family

FAMILY: Final = Family(
    name="mistral",
    title="Mistral",
    since="4.45.0",
    architecture="MistralForCausalLM",
    config={
        "vocab_size": 160,
        "hidden_size": 128,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 32,
        "max_position_embeddings": 32768,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        # Of the released 4096, what prompts of a few dozen tokens reach past.
        "sliding_window": 16,
        "tie_word_embeddings": False,
        "pad_token_id": 150,
        "bos_token_id": 151,
        "eos_token_id": 152,
    },
    processor={},
    frame_tokens=0,
    special="every layer sees a sliding window of the tokens before",
)
