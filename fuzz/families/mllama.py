"""Llama 3.2 Vision: arXiv:2407.21783, section 7, and its configuration."""

from __future__ import annotations

from typing import Final

from fuzz.families.family import Family

FAMILY: Final = Family(
    name="mllama",
    title="Llama 3.2 Vision",
    since="4.45.0",
    architecture="MllamaForConditionalGeneration",
    config={
        "text_config": {
            "model_type": "mllama_text_model",
            "vocab_size": 160,
            "hidden_size": 128,
            "intermediate_size": 64,
            "num_hidden_layers": 3,
            "cross_attention_layers": [1],
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": 131072,
            "rms_norm_eps": 1e-5,
            "rope_theta": 500000.0,
            "rope_scaling": {
                "rope_type": "llama3",
                "factor": 8.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 8192,
            },
            "pad_token_id": 150,
            "bos_token_id": 151,
            "eos_token_id": 152,
        },
        "vision_config": {
            "model_type": "mllama_vision_model",
            "hidden_size": 64,
            "intermediate_size": 96,
            "num_hidden_layers": 2,
            "num_global_layers": 1,
            "attention_heads": 2,
            "image_size": 28,
            "patch_size": 14,
            "intermediate_layers_indices": [1],
            "vision_output_dim": 128,
        },
        "image_token_index": 155,
    },
    processor={"size": {"height": 28, "width": 28}, "max_image_tiles": 4},
    frame_tokens=0,
    without_video="Llama 3.2 Vision takes images; no checkpoint of it is said to take videos",
    special="layers of cross attention see the tiles of images beside the tokens: an image is one "
    "token, and a mask tells which images each token sees",
    placing="crossing",
    not_applicable={
        "clean_rejection": "nothing counts an image's one token against its pixels: a mask tells "
        "what is seen",
        "image_independence": "what leaves its tower is filled up with empty images and tiles",
        "packing_invariance": "nothing tells cross attention where a packed sequence begins",
    },
)
