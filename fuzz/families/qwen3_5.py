"""Qwen3.5: its model card and configuration."""

from __future__ import annotations

from typing import Final

from fuzz.families.family import Family

FAMILY: Final = Family(
    name="qwen3_5",
    title="Qwen3.5",
    since="5.2.0",
    architecture="Qwen3_5ForConditionalGeneration",
    config={
        "text_config": {
            "vocab_size": 160,
            "hidden_size": 128,
            "intermediate_size": 64,
            "num_hidden_layers": 3,
            "full_attention_interval": 2,
            "linear_num_key_heads": 2,
            "linear_num_value_heads": 4,
            "linear_key_head_dim": 16,
            "linear_value_head_dim": 16,
            # A quarter of the released 256, so that the part that turns keeps its three axes.
            "head_dim": 64,
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
            "depth": 2,
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
    special="layers of gated linear attention, whose cache is a state, between those of full "
    "attention; interleaved multimodal rotary embedding of a quarter of each head",
    not_applicable={
        "packing_invariance": "linear attention carries its state from one packed sequence on to "
        "the next",
        "low_precision": "linear attention is badly conditioned: one unit in the last place of a "
        "pixel moves float32 logits by 2e-3",
    },
)
