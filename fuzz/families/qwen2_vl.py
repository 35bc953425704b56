"""Qwen2-VL (arXiv:2409.12191)."""

from __future__ import annotations

from typing import Final

from fuzz.families.family import Family

FAMILY: Final = Family(
    name="qwen2_vl",
    title="Qwen2-VL",
    since="4.45.0",
    architecture="Qwen2VLForConditionalGeneration",
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
        # 16 : 24 : 24 of the released checkpoints, for a head of 32 instead of 128.
        "rope_scaling": {"type": "mrope", "mrope_section": [4, 6, 6]},
        "tie_word_embeddings": False,
        "use_sliding_window": False,
        "pad_token_id": 150,
        "bos_token_id": 151,
        "eos_token_id": 152,
        "vision_start_token_id": 153,
        "vision_end_token_id": 154,
        "image_token_id": 155,
        "video_token_id": 156,
        "vision_config": {
            "depth": 2,
            "embed_dim": 64,
            "hidden_size": 128,
            "num_heads": 2,
            "mlp_ratio": 2,
            "patch_size": 14,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
        },
    },
    # The minimum is the released processor's own; the maximum is lowered from 1,003,520 pixels
    # so that an image stays within 16 placeholder tokens.
    processor={"min_pixels": 56 * 56, "max_pixels": 112 * 112},
    frame_tokens=2,
    video="block",
    special="multimodal rotary embedding in three chunks (time, height, width); 2D rotary and "
    "one attention segment per image in the vision tower",
)
