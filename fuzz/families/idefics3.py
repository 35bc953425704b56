"""Idefics3: arXiv:2408.12637."""

from __future__ import annotations

from typing import Final

from fuzz.families.family import Family

FAMILY: Final = Family(
    name="idefics3",
    title="Idefics3",
    since="4.46.0",
    architecture="Idefics3ForConditionalGeneration",
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
            "rope_theta": 500000.0,
            "pad_token_id": 150,
            "bos_token_id": 151,
            "eos_token_id": 152,
        },
        "vision_config": {
            "model_type": "idefics3",
            "hidden_size": 64,
            "intermediate_size": 96,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": 56,
            "patch_size": 14,
        },
        "scale_factor": 2,
        "image_token_id": 155,
        "tie_word_embeddings": False,
    },
    processor={"size": {"longest_edge": 112}, "max_image_size": {"longest_edge": 56}},
    frame_tokens=11,
    without_video="Idefics3 takes no videos",
    special="tiles with two text tokens before each, images of a batch row by row, a mask of "
    "pixels; learned vision positions that follow each tile's true size",
    placing="marked_tiles",
    most_tiles=5,
)
