"""Qwen4-Exp: its model card and configuration."""

from __future__ import annotations

from typing import Final

from fuzz.families.family import Family

FAMILY: Final = Family(
    name="qwen4_exp",
    title="Qwen4-Exp",
    since="5.16.0",
    architecture="Qwen4ExpForConditionalGeneration",
    config={
        "text_config": {
            "vocab_size": 160,
            "hidden_size": 128,
            "moe_intermediate_size": 64,
            "shared_expert_intermediate_size": 64,
            "num_experts": 4,
            "num_experts_per_tok": 2,
            "num_hidden_layers": 3,
            "full_attention_interval": 2,
            "linear_num_key_heads": 2,
            "linear_num_value_heads": 4,
            "linear_key_head_dim": 16,
            "linear_value_head_dim": 16,
            # A quarter of the released 256, so that the part that turns keeps its three axes.
            "head_dim": 64,
            "hc_count": 2,
            "hc_lowrank": 16,
            # Of the two layers of linear attention the first; the table of n-grams is made small.
            "ple_layer_ids": [1],
            "ngram_vocab_size_base": 64,
            "make_ngram_vocab_size_divisible_by": 8,
            "split_ngram_parts": 1,
            "heads_per_ngram": 2,
            # Blocks of four tokens, of which a query sees as many as fill the budget.
            "indexer_n_heads": 2,
            "indexer_kv_heads": 1,
            "indexer_head_dim": 32,
            "indexer_budget": 16,
            "indexer_compress_ratio": 4,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 10000000.0,
                # 11 : 11 : 10 of the released checkpoints, for 8 pairs instead of 32.
                "mrope_section": [3, 3, 2],
                "mrope_interleaved": True,
                "partial_rotary_factor": 0.25,
            },
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": 32768,
            "pad_token_id": 150,
            "bos_token_id": 151,
            "eos_token_id": 152,
        },
        "tie_word_embeddings": False,
        "vision_start_token_id": 153,
        "vision_end_token_id": 154,
        "image_token_id": 155,
        "video_token_id": 156,
        "vision_config": {
            "depth": 3,
            "hidden_size": 64,
            "intermediate_size": 96,
            "out_hidden_size": 128,
            "num_heads": 2,
            "num_position_embeddings": 64,
            "patch_size": 16,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
        },
    },
    # The minimum keeps the released 4 cells; the maximum stays within 16 placeholder tokens.
    processor={"min_pixels": 64 * 64, "max_pixels": 128 * 128},
    frame_tokens=2,
    video="timed steps",
    special="as qwen3_5_moe, with two residual streams, a table of n-grams in one layer, and in "
    "full layers an indexer that chooses which blocks of four tokens each query sees",
    not_applicable={
        "packing_invariance": "linear attention carries its state from one packed sequence on to "
        "the next",
        "low_precision": "linear attention is badly conditioned: one unit in the last place of a "
        "pixel moves float32 logits by 2e-3",
    },
)
