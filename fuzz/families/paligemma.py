"""PaliGemma: arXiv:2407.07726."""

from __future__ import annotations

from typing import Final

from fuzz.families.family import Family

FAMILY: Final = Family(
    name="paligemma",
    title="PaliGemma",
    since="4.45.0",
    architecture="PaliGemmaForConditionalGeneration",
    config={
        "text_config": {
            "model_type": "gemma",
            "vocab_size": 160,
            "hidden_size": 128,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": 32768,
            "rms_norm_eps": 1e-6,
            "rope_theta": 10000.0,
            "head_dim": 32,
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
            "image_size": 56,
            "patch_size": 14,
            "projection_dim": 128,
            "vision_use_head": False,
        },
        "projection_dim": 128,
        "image_token_index": 155,
    },
    processor={"size": {"height": 56, "width": 56}},
    frame_tokens=0,
    without_video="PaliGemma takes no videos",
    special="the whole prompt sees itself, later tokens too (prefix attention)",
    placing="fixed",
    told_of_tokens="prefix",
    not_applicable={
        "visibility": "nothing in a prefix is hidden, and nothing else is fed at once",
        "generation_agreement": "a forward over prompt and answer takes the answer for a part of "
        "the prefix",
        "causality": "the tokens of a prompt see later ones: its attention is a prefix's",
        "packing_invariance": "a prefix is one: nothing tells it from the next sequence's",
    },
)
