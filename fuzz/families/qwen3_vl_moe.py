"""Qwen3-VL with experts (arXiv:2511.21631)."""

from __future__ import annotations

from typing import Final

from fuzz.families.family import Family

FAMILY: Final = Family(
    name="qwen3_vl_moe",
    title="Qwen3-VL (mixture of experts)",
    since="4.57.0",
    architecture="Qwen3VLMoeForConditionalGeneration",
    config={
        "text_config": {
            "vocab_size": 160,
            "hidden_size": 128,
            "intermediate_size": 64,
            "moe_intermediate_size": 64,
            "num_experts": 4,
            "num_experts_per_tok": 2,
            "num_hidden_layers": 2,
            "head_dim": 32,
            "rope_theta": 5000000.0,
            # 24 : 20 : 20 of the released checkpoints, for a head of 32 instead of 128.
            "rope_scaling": {
                "rope_type": "default",
                "mrope_section": [6, 5, 5],
                "mrope_interleaved": True,
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
            "deepstack_visual_indexes": [0, 1],
        },
    },
    # The minimum keeps the released 4 cells; the maximum stays within 16 placeholder tokens.
    processor={"min_pixels": 64 * 64, "max_pixels": 128 * 128},
    frame_tokens=2,
    video="timed steps",
    special="as qwen3_vl, with a mixture of experts in every layer",
    image_processor="qwen3_vl",
)
