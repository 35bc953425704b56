"""Tiny checkpoint directories with a whole processor, tokenizer included."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

TEXT: dict[str, Any] = {
    "vocab_size": 160,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 32,
    "max_position_embeddings": 4096,
    # At the start of the vocabulary, as SentencePiece has them.
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
TOWER: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "patch_size": 14,
}


def tokenizer(specials: Sequence[str]) -> Any:
    """Return a tokenizer of 120 words that begins every prompt with a token of its own."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    first = ["<pad>", "<s>", "</s>", "<unk>"]
    words = [*first, *(f"w{n}" for n in range(120))]
    made = Tokenizer(models.WordLevel({w: n for n, w in enumerate(words)}, unk_token=first[-1]))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    template = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    names = dict(zip(("pad_token", "bos_token", "eos_token", "unk_token"), first, strict=True))
    whole = PreTrainedTokenizerFast(tokenizer_object=made, **names)
    whole.add_special_tokens({"additional_special_tokens": list(specials)})
    whole.backend_tokenizer.post_processor = template
    return whole


def aya_vision(folder: Path) -> str:
    """Write a directory whose images are cut into tiles, each with a name among its tokens."""
    import transformers as t

    names = ("<image>", "<|START_OF_IMG|>", "<|END_OF_IMG|>", "<|IMG_PATCH|>", "<|IMG_LINE_BREAK|>")
    words = tokenizer([*names, "TILE", "TILE_GLOBAL", *(f"TILE_{n}" for n in range(1, 13))])
    images = t.GotOcr2ImageProcessorPil(
        size={"height": 28, "width": 28}, crop_to_patches=True, min_patches=1, max_patches=4
    )
    config = t.AyaVisionConfig(
        text_config={"model_type": "cohere2", "sliding_window": 8, **TEXT},
        vision_config={"model_type": "siglip_vision_model", "image_size": 28, **TOWER},
        downsample_factor=1,
        image_token_index=words.convert_tokens_to_ids("<|IMG_PATCH|>"),
    )
    whole = t.AyaVisionProcessor(images, words, patch_size=14, img_size=28, downsample_factor=1)
    return _saved(folder, config, whole)


def idefics2(folder: Path) -> str:
    """Write a directory whose images are joined row by row, and filled up to the largest one."""
    import transformers as t

    words = tokenizer(["<fake_token_around_image>", "<image>", "<end_of_utterance>"])
    images = t.Idefics2ImageProcessorPil(
        size={"longest_edge": 56, "shortest_edge": 28}, do_image_splitting=False
    )
    config = t.Idefics2Config(
        text_config={"model_type": "mistral", "sliding_window": None, **TEXT},
        vision_config={"image_size": 56, **TOWER},
        perceiver_config={
            "resampler_n_latents": 4,
            "resampler_depth": 1,
            "resampler_n_heads": 2,
            "resampler_head_dim": 16,
            "num_key_value_heads": 1,
            "hidden_size": 64,
        },
        image_token_id=words.convert_tokens_to_ids("<image>"),
    )
    return _saved(folder, config, t.Idefics2Processor(images, words, image_seq_len=4))


def _saved(folder: Path, config: Any, processor: Any) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    config.save_pretrained(folder)
    processor.save_pretrained(folder)
    return str(folder)
