"""LLaVA-NeXT: arXiv:2310.03744, and its authors' note of January 2024 on resolutions."""

from __future__ import annotations

from typing import Final

from fuzz.families.family import Family

FAMILY: Final = Family(
    name="llava_next",
    title="LLaVA-NeXT",
    since="4.45.0",
    architecture="LlavaNextForConditionalGeneration",
    config={
        "text_config": {
            "model_type": "mistral",
            "vocab_size": 160,
            "hidden_size": 128,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": 32768,
            "rms_norm_eps": 1e-6,
            "rope_theta": 1000000.0,
            "sliding_window": None,
            "pad_token_id": 150,
            "bos_token_id": 151,
            "eos_token_id": 152,
        },
        "vision_config": {
            "model_type": "clip_vision_model",
            "hidden_size": 64,
            "intermediate_size": 96,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": 28,
            "patch_size": 14,
        },
        "vision_feature_layer": -2,
        "vision_feature_select_strategy": "default",
        "image_grid_pinpoints": [[28, 56], [56, 28], [56, 56], [28, 84], [84, 28]],
        # Of one tile: up to 4.47 fewer placeholders count as one an image.
        "image_seq_length": 4,
        "image_token_index": 155,
        "tie_word_embeddings": False,
    },
    processor={
        "size": {"shortest_edge": 28},
        "crop_size": {"height": 28, "width": 28},
        "image_grid_pinpoints": [[28, 56], [56, 28], [56, 56], [28, 84], [84, 28]],
    },
    frame_tokens=4,
    without_video="videos are another model's, LLaVA-NeXT-Video",
    special="images are cut into tiles of the best of several shapes, never one alone; a class "
    "token that is dropped, a learned line break after each line",
    placing="any_resolution",
    most_tiles=5,
)
