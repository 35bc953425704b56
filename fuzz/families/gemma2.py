"""Gemma 2: arXiv:2408.00118."""

from __future__ import annotations

from typing import Final

from fuzz.families.family import Family

FAMILY: Final = Family(
    name="gemma2",
    title="Gemma 2",
    since="4.45.0",
    architecture="Gemma2ForCausalLM",
    config={
        "vocab_size": 160,
        "hidden_size": 128,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        # As every release has them, early ones without a word for it.
        "layer_types": ["sliding_attention", "full_attention"],
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 32,
        "query_pre_attn_scalar": 32,
        # Of the released 4096, what prompts of a few dozen tokens reach past.
        "sliding_window": 16,
        "attn_logit_softcapping": 50.0,
        "final_logit_softcapping": 30.0,
        "max_position_embeddings": 8192,
        "rms_norm_eps": 1e-6,
        "rope_theta": 10000.0,
        "pad_token_id": 150,
        "bos_token_id": 151,
        "eos_token_id": 152,
    },
    processor={},
    frame_tokens=0,
    special="sliding and full layers by turns; scores and logits are bounded by a tanh (softcap), "
    "which sdpa cannot compute",
    attention="eager",
)
