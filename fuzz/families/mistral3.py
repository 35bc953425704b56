"""Mistral Small 3.1: Pixtral's scheme, arXiv:2410.07073."""

from __future__ import annotations

from typing import Final

from fuzz.families.family import Family

FAMILY: Final = Family(
    name="mistral3",
    title="Mistral Small 3.1",
    since="4.50.0",
    architecture="Mistral3ForConditionalGeneration",
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
            "rope_theta": 1000000000.0,
            "head_dim": 32,
            "sliding_window": None,
            "pad_token_id": 150,
            "bos_token_id": 151,
            "eos_token_id": 152,
        },
        "vision_config": {
            "model_type": "pixtral",
            "hidden_size": 64,
            "intermediate_size": 96,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "head_dim": 32,
            "image_size": 112,
            "patch_size": 14,
            "rope_theta": 10000.0,
        },
        "spatial_merge_size": 2,
        "vision_feature_layer": -1,
        "multimodal_projector_bias": False,
        "projector_hidden_act": "gelu",
        "image_token_index": 155,
        "tie_word_embeddings": False,
    },
    processor={"size": {"longest_edge": 112}},
    frame_tokens=4,
    without_video="Mistral Small 3.1 takes no videos",
    special="images keep their shape and stand line by line, a text token after each line; 2D "
    "rotary in the vision tower, which holds all images as one sequence with blocks",
    placing="lines",
)
