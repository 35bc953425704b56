"""InternVL3: arXiv:2504.10479."""

from __future__ import annotations

from typing import Final

from fuzz.families.family import Family

FAMILY: Final = Family(
    name="internvl",
    title="InternVL3",
    since="4.52.0",
    architecture="InternVLForConditionalGeneration",
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
            "model_type": "internvl_vision",
            "hidden_size": 64,
            "intermediate_size": 96,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": [56, 56],
            "patch_size": [14, 14],
        },
        "image_seq_length": 4,
        "downsample_ratio": 0.5,
        "vision_feature_layer": -1,
        "vision_feature_select_strategy": "default",
        "image_token_id": 155,
        "tie_word_embeddings": False,
    },
    processor={
        "size": {"height": 56, "width": 56},
        "crop_to_patches": True,
        "min_patches": 1,
        "max_patches": 4,
    },
    frame_tokens=0,
    without_video="not built here: its videos are images, one a frame, to model and positions",
    special="images are cut into tiles of the vision tower's size, and a small whole beside them; "
    "learned vision positions; four patches become one token",
    placing="tiles",
    image_processor="got_ocr2",
    most_tiles=5,
)
