"""LLaVA 1.5: arXiv:2310.03744."""

from __future__ import annotations

from typing import Final

from fuzz.families.family import Family

FAMILY: Final = Family(
    name="llava",
    title="LLaVA 1.5",
    since="4.45.0",
    architecture="LlavaForConditionalGeneration",
    config={
        "text_config": {
            "model_type": "llama",
            "vocab_size": 160,
            "hidden_size": 128,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": 32768,
            "rms_norm_eps": 1e-6,
            "rope_theta": 10000.0,
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
            "image_size": 56,
            "patch_size": 14,
        },
        "projector_hidden_act": "gelu",
        "vision_feature_layer": -2,
        "vision_feature_select_strategy": "default",
        "image_seq_length": 16,
        "image_token_index": 155,
        "tie_word_embeddings": False,
    },
    processor={"size": {"shortest_edge": 56}, "crop_size": {"height": 56, "width": 56}},
    frame_tokens=0,
    without_video="LLaVA 1.5 takes no videos",
    special="every image is cropped to one square and becomes as many tokens; learned vision "
    "positions, and a class token that is dropped",
    placing="fixed",
)
