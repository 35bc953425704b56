"""GLM-OCR: its model card and configuration."""

from __future__ import annotations

from typing import Final

from fuzz.families.family import Family

FAMILY: Final = Family(
    name="glm_ocr",
    title="GLM-OCR",
    since="5.1.0",
    architecture="GlmOcrForConditionalGeneration",
    config={
        "text_config": {
            "vocab_size": 160,
            "hidden_size": 128,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "head_dim": 32,
            "rope_theta": 10000.0,
            # 16 : 24 : 24 of the released checkpoints, for 16 pairs instead of 64.
            "rope_scaling": {
                "rope_type": "default",
                "mrope_section": [4, 6, 6],
            },
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": 32768,
            "pad_token_id": 150,
            "bos_token_id": 151,
            "eos_token_id": 152,
        },
        "tie_word_embeddings": False,
        "image_start_token_id": 153,
        "image_end_token_id": 154,
        "image_token_id": 155,
        "video_token_id": 156,
        "video_start_token_id": 157,
        "video_end_token_id": 158,
        "vision_config": {
            "depth": 2,
            "hidden_size": 64,
            "intermediate_size": 96,
            "out_hidden_size": 128,
            "num_heads": 2,
            "patch_size": 14,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
        },
    },
    # Pixels of both frames that a still image becomes. The minimum is the released one, 8 cells;
    # the maximum stays within 16 placeholder tokens.
    processor={"size": {"shortest_edge": 112 * 112, "longest_edge": 2 * 112 * 112}},
    frame_tokens=2,
    without_video="GLM-OCR reads pages; no checkpoint of it is said to take videos",
    special="as glm4v, with all of a head turning, norms of queries and keys in the vision tower "
    "and no learned vision positions",
    pairs="neighbours",
    image_processor="glm46v",
)
