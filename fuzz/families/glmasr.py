"""GLM-ASR: the model card of GLM-ASR-Nano and its configuration."""

from __future__ import annotations

from typing import Final

from fuzz.families.family import Family

FAMILY: Final = Family(
    name="glmasr",
    title="GLM-ASR-Nano",
    since="5.0.0",
    architecture="GlmAsrForConditionalGeneration",
    config={
        "text_config": {
            "model_type": "llama",
            "vocab_size": 160,
            "hidden_size": 128,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": 8192,
            "rms_norm_eps": 1e-5,
            "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
            "pad_token_id": 150,
            "bos_token_id": 151,
            "eos_token_id": 152,
        },
        "audio_config": {
            "model_type": "glmasr_encoder",
            "hidden_size": 64,
            # Four frames are merged to one of this width.
            "intermediate_size": 256,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_mel_bins": 128,
            "max_position_embeddings": 1500,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 10000.0,
                "partial_rotary_factor": 0.5,
            },
        },
        "audio_token_id": 155,
        "tie_word_embeddings": False,
    },
    # Windows of 2 of the released 30 seconds, and three of them.
    processor={"chunk_length": 2, "max_audio_len": 6},
    frame_tokens=0,
    audio="windows",
    special="audio: recordings are cut into windows that an encoder with a rotary embedding of its "
    "own sees one at a time, on half of a head; silence fills up the last one",
)
