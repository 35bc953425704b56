"""GLM-4.1V (arXiv:2507.01006), and AutoGLM-Phone-9B."""

from __future__ import annotations

from typing import Final

from fuzz.families.family import Family

FAMILY: Final = Family(
    name="glm4v",
    title="GLM-4.1V",
    since="4.53.0",
    architecture="Glm4vForConditionalGeneration",
    config={
        "text_config": {
            "vocab_size": 160,
            "hidden_size": 128,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "rope_theta": 10000.0,
            # 8 : 12 : 12 of the released checkpoints, for 8 pairs instead of 32.
            "rope_scaling": {
                "rope_type": "default",
                "mrope_section": [2, 3, 3],
            },
            "partial_rotary_factor": 0.5,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": 32768,
            "pad_token_id": 150,
            "bos_token_id": 151,
            "eos_token_id": 152,
        },
        "tie_word_embeddings": False,
        "image_start_token_id": 153,
        "image_end_token_id": 154,
        "image_token_id": 155,
        "video_token_id": 156,
        "video_start_token_id": 157,
        "video_end_token_id": 158,
        "vision_config": {
            "depth": 2,
            "hidden_size": 64,
            "intermediate_size": 96,
            "out_hidden_size": 128,
            "num_heads": 2,
            "image_size": 112,
            "patch_size": 14,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
        },
    },
    # Pixels of both frames that a still image becomes. The minimum is the released one, 8 cells;
    # the maximum stays within 16 placeholder tokens.
    processor={"size": {"shortest_edge": 112 * 112, "longest_edge": 2 * 112 * 112}},
    frame_tokens=2,
    video="steps as images",
    special="multimodal rotary embedding of half of each head, whose neighbouring elements turn "
    "together; learned vision positions beside rotary ones; norms after attention and feed-forward",
    pairs="neighbours",
)
