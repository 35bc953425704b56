"""Granite 4 Vision: its model card and configuration."""

from __future__ import annotations

from typing import Final

from fuzz.families.family import Family

_SHAPES: Final = [[56, 56], [56, 112], [112, 56], [112, 112]]

FAMILY: Final = Family(
    name="granite4_vision",
    title="Granite 4 Vision",
    since="5.8.0",
    architecture="Granite4VisionForConditionalGeneration",
    config={
        "text_config": {
            "model_type": "granite4_vision_text",
            "vocab_size": 160,
            "hidden_size": 128,
            "intermediate_size": 64,
            # One for each of the five groups of features that follow.
            "num_hidden_layers": 5,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": 32768,
            "rms_norm_eps": 1e-5,
            "rope_parameters": {"rope_type": "default", "rope_theta": 10000000.0},
            "embedding_multiplier": 12.0,
            "residual_multiplier": 0.22,
            "attention_multiplier": 0.03125,
            "logits_scaling": 8.0,
            "pad_token_id": 150,
            "bos_token_id": 151,
            "eos_token_id": 152,
        },
        "vision_config": {
            "model_type": "siglip_vision_model",
            "hidden_size": 128,
            "intermediate_size": 96,
            "num_hidden_layers": 3,
            "num_attention_heads": 2,
            "image_size": 56,
            "patch_size": 14,
            "vision_use_head": False,
        },
        "qformer_config": {
            "model_type": "blip_2_qformer",
            "num_hidden_layers": 1,
            # Early releases do not take these from the vision tower.
            "hidden_size": 128,
            "encoder_hidden_size": 128,
            "num_attention_heads": 2,
            "intermediate_size": 96,
            "cross_attention_frequency": 1,
            "use_qformer_text_input": False,
        },
        "downsample_rate": "1/2",
        "deepstack_layer_map": [[-2, 0]],
        "spatial_vision_layer": -1,
        "spatial_target_layers": [1, 2, 3, 4],
        "vision_feature_select_strategy": "full",
        "image_grid_pinpoints": _SHAPES,
        "image_token_index": 155,
        "tie_word_embeddings": False,
    },
    processor={
        "size": {"shortest_edge": 56},
        "crop_size": {"height": 56, "width": 56},
        "image_grid_pinpoints": _SHAPES,
    },
    frame_tokens=4,
    without_video="Granite 4 Vision takes no videos",
    special="an image's placeholders are nothing at first; what several layers of the vision tower "
    "and four places of each of its windows give is added to them before several layers",
    placing="any_resolution",
    most_tiles=5,
)
