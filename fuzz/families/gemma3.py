"""Gemma 3: arXiv:2503.19786."""

from __future__ import annotations

from typing import Final

from fuzz.families.family import Family

FAMILY: Final = Family(
    name="gemma3",
    title="Gemma 3",
    since="4.50.0",
    architecture="Gemma3ForConditionalGeneration",
    config={
        "text_config": {
            "model_type": "gemma3_text",
            "vocab_size": 160,
            "hidden_size": 128,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": 32768,
            "rms_norm_eps": 1e-6,
            "rope_theta": 1000000.0,
            "head_dim": 32,
            "query_pre_attn_scalar": 32,
            "sliding_window": 16,
            "layer_types": ["sliding_attention", "full_attention"],
            # The same as 4.50 to 4.52 know it.
            "sliding_window_pattern": 2,
            "rope_local_base_freq": 10000.0,
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
            "vision_use_head": False,
        },
        "mm_tokens_per_image": 4,
        "boi_token_index": 153,
        "eoi_token_index": 154,
        "image_token_index": 155,
    },
    processor={"size": {"height": 56, "width": 56}},
    frame_tokens=2,
    without_video="Gemma 3 takes no videos",
    special="the tokens of an image see each other, later ones too; sliding and full layers with "
    "a rotary base each; every image becomes the same number of tokens",
    placing="fixed",
    told_of_tokens="images",
)
