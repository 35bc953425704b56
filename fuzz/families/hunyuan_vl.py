"""HunyuanOCR (arXiv:2511.19575)."""

from __future__ import annotations

from typing import Final

from fuzz.families.family import Family

FAMILY: Final = Family(
    name="hunyuan_vl",
    title="HunyuanOCR",
    since="5.13.0",
    architecture="HunYuanVLForConditionalGeneration",
    config={
        "text_config": {
            "vocab_size": 160,
            "hidden_size": 128,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "head_dim": 32,
            "eod_token_id": 157,
            "sep_token_id": 158,
            "rope_theta": 10000.0,
            # A quarter each, as released.
            "rope_scaling": {
                "type": "xdrope",
                "xdrope_section": [4, 4, 4, 4],
                "alpha": 1000.0,
                "factor": 1.0,
            },
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": 32768,
            "pad_token_id": 150,
            "bos_token_id": 151,
            "eos_token_id": 152,
        },
        "tie_word_embeddings": False,
        "im_start_id": 153,
        "im_end_id": 154,
        "image_token_id": 155,
        "im_newline_id": 156,
        "vision_config": {
            "num_hidden_layers": 2,
            "hidden_size": 64,
            "intermediate_size": 96,
            "out_hidden_size": 128,
            "text_hidden_size": 128,
            "num_attention_heads": 2,
            "max_image_size": 128,
            "patch_size": 16,
            "spatial_merge_size": 2,
            "temporal_patch_size": 1,
        },
    },
    # The released minimum, 512 by 512, would be 274 tokens an image.
    processor={"min_pixels": 64 * 64, "max_pixels": 128 * 128},
    frame_tokens=2,
    without_video="HunyuanOCR reads pages and has no video processor",
    special="rotary embedding of four axes (order, column, row, image) with a stretched base, "
    "before the norms of queries and keys; placeholders for the ends of an image's rows; "
    "learned vision positions, interpolated",
    placing="grid_with_line_ends",
    not_relative="norms of queries and keys, with a weight for each element, follow the rotation",
)
