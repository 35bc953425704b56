"""Llama: arXiv:2302.13971."""

from __future__ import annotations

from typing import Final

from fuzz.families.family import Family

FAMILY: Final = Family(
    name="llama",
    title="Llama",
    since="4.45.0",
    architecture="LlamaForCausalLM",
    config={
        "vocab_size": 160,
        "hidden_size": 128,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 32768,
        "rms_norm_eps": 1e-6,
        "rope_theta": 500000.0,
        "tie_word_embeddings": False,
        "pad_token_id": 150,
        "bos_token_id": 151,
        "eos_token_id": 152,
    },
    processor={},
    frame_tokens=0,
    special="one-axis rotary embedding over grouped queries: the plain case, and GLM-TTS's decoder",
)
