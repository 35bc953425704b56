"""LLaVA-OneVision: arXiv:2408.03326."""

from __future__ import annotations

from typing import Final

from fuzz.families.family import Family

FAMILY: Final = Family(
    name="llava_onevision",
    title="LLaVA-OneVision",
    since="4.45.0",
    architecture="LlavaOnevisionForConditionalGeneration",
    config={
        "text_config": {
            "model_type": "qwen2",
            "vocab_size": 160,
            "hidden_size": 128,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": 32768,
            "rms_norm_eps": 1e-6,
            "rope_theta": 1000000.0,
            "pad_token_id": 150,
            "bos_token_id": 151,
            "eos_token_id": 152,
        },
        "vision_config": {
            "model_type": "siglip_vision_model",
            "hidden_size": 64,
            "intermediate_size": 96,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": 28,
            "patch_size": 14,
            "vision_use_head": False,
        },
        "vision_feature_layer": -1,
        "vision_feature_select_strategy": "full",
        "vision_aspect_ratio": "anyres_max_9",
        "image_grid_pinpoints": [[28, 28], [28, 56], [56, 28], [56, 56]],
        "image_token_index": 155,
        "video_token_index": 156,
        "tie_word_embeddings": False,
    },
    processor={
        "size": {"height": 28, "width": 28},
        "image_grid_pinpoints": [[28, 28], [28, 56], [56, 28], [56, 56]],
    },
    frame_tokens=4,
    without_video="not built here: its frames are pooled to fewer tokens",
    special="images are cut into tiles of the best of several shapes, whose borders are cut off "
    "again after the vision tower; a learned line break after each line of them",
    placing="any_resolution",
    most_tiles=5,
)
