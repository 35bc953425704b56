"""gpt-oss: arXiv:2508.10925."""

from __future__ import annotations

from typing import Final

from fuzz.families.family import Family

FAMILY: Final = Family(
    name="gpt_oss",
    title="gpt-oss",
    since="4.55.0",
    architecture="GptOssForCausalLM",
    config={
        "vocab_size": 160,
        "hidden_size": 128,
        "intermediate_size": 64,
        # A sliding layer, then a full one.
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 32,
        "num_local_experts": 4,
        "num_experts_per_tok": 2,
        # Of the released 128, what prompts of a few dozen tokens reach past.
        "sliding_window": 16,
        "max_position_embeddings": 131072,
        "rms_norm_eps": 1e-5,
        "rope_theta": 150000.0,
        "rope_scaling": {
            "rope_type": "yarn",
            "factor": 32.0,
            "beta_fast": 32.0,
            "beta_slow": 1.0,
            "truncate": False,
            "original_max_position_embeddings": 4096,
        },
        "tie_word_embeddings": False,
        "pad_token_id": 150,
        "bos_token_id": 151,
        "eos_token_id": 152,
    },
    processor={},
    frame_tokens=0,
    special="every head has a learned sink that takes a share of attention; sliding and full "
    "layers by turns; YaRN whose ramp has no whole ends; a mixture of experts with biases",
    attention="eager",
)
