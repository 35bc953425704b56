"""SmolVLM: arXiv:2504.05299."""

from __future__ import annotations

from typing import Final

from fuzz.families.family import Family

FAMILY: Final = Family(
    name="smolvlm",
    title="SmolVLM",
    since="4.50.0",
    architecture="SmolVLMForConditionalGeneration",
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
            "model_type": "smolvlm_vision",
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
    without_video="not built here: its videos are images, one a frame, to model and positions",
    special="Idefics3's tiles and pixel mask, vision attention and image processor its own",
    placing="marked_tiles",
    most_tiles=5,
)
