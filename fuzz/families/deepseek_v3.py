"""DeepSeek-V3: arXiv:2412.19437; Kimi K2: arXiv:2507.20534."""

from __future__ import annotations

from typing import Final

from fuzz.families.family import Family

FAMILY: Final = Family(
    name="deepseek_v3",
    title="DeepSeek-V3, Kimi-K2-Thinking",
    since="4.51.0",
    architecture="DeepseekV3ForCausalLM",
    config={
        "vocab_size": 160,
        "hidden_size": 128,
        "intermediate_size": 64,
        "moe_intermediate_size": 64,
        "n_shared_experts": 1,
        # Two groups of three, of which tokens may use one: Kimi K2's are one group, which limits
        # nothing.
        "n_routed_experts": 6,
        "n_group": 2,
        "topk_group": 1,
        "num_experts_per_tok": 2,
        "norm_topk_prob": True,
        "routed_scaling_factor": 2.5,
        "first_k_dense_replace": 1,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "q_lora_rank": 48,
        "kv_lora_rank": 32,
        # 128 : 64 : 128 of the released checkpoints.
        "qk_nope_head_dim": 64,
        "qk_rope_head_dim": 32,
        "v_head_dim": 64,
        "max_position_embeddings": 163840,
        "rms_norm_eps": 1e-6,
        "rope_theta": 10000.0,
        "rope_scaling": {
            "type": "yarn",
            "rope_type": "yarn",
            "factor": 40.0,
            "beta_fast": 32.0,
            "beta_slow": 1.0,
            # What the scores are lengthened by; those of cosine and sine cancel out.
            "mscale": 1.0,
            "mscale_all_dim": 1.0,
            "original_max_position_embeddings": 4096,
        },
        "tie_word_embeddings": False,
        "pad_token_id": 150,
        "bos_token_id": 151,
        "eos_token_id": 152,
    },
    processor={},
    frame_tokens=0,
    special="keys and values are kept as one latent vector (MLA); a part of each head turns, whose "
    "neighbouring elements turn together; YaRN lengthens the scores; experts in groups, chosen by "
    "biased sigmoids, one of them shared",
    pairs="neighbours_apart",
)
