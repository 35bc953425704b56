"""How a recording becomes placeholder tokens and tensors."""

from __future__ import annotations

import importlib
from typing import Any, Final

import numpy as np

from fuzz.worker import release
from fuzz.worker.placing import AUDIO, TEXT, Placed
from fuzz.worker.subject import Subject
from strategies.case import RATE, Audio

TOKEN: Final = "<audio>"  # noqa: S105 - a word of the tokenizer's
_CONVOLVED: Final = 2
"""Frames of features that the audio tower's convolutions make one of (Whisper's)."""


def make_processor(config: Any, settings: dict[str, Any]) -> Any:
    """Return the family's real processor, with a tokenizer that knows no word but a recording's.

    It cuts recordings into windows and counts their placeholders; what else it would do to text is
    done here by hand, as for images.

    Args:
        config: of the whole model.
        settings: ``chunk_length``, seconds of a window; ``max_audio_len``, seconds that are heard.
    """
    from tokenizers import Tokenizer, models

    transformers: Any = importlib.import_module("transformers")
    auto: Any = importlib.import_module("transformers.models.auto.processing_auto")
    cls = getattr(transformers, auto.PROCESSOR_MAPPING_NAMES[config.model_type])
    words = Tokenizer(models.WordLevel({"": 0, TOKEN: 1}, unk_token=""))
    # Special ones are told apart without a blank between them.
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=words, pad_token=TOKEN)
    features = transformers.WhisperFeatureExtractor(
        feature_size=config.audio_config.num_mel_bins,
        sampling_rate=RATE,
        chunk_length=settings["chunk_length"],
    )
    heard = settings["max_audio_len"]
    return cls(features, tokenizer, audio_token=TOKEN, max_audio_len=heard)


def place(subject: Subject, audio: Audio, seed: int, extra: int = 0) -> Placed:
    """Return what a recording of noise becomes.

    Args:
        subject: the model's config and processor.
        audio: how long it is.
        seed: draws the noise.
        extra: placeholder tokens too many, or too few.
    """
    wave = np.random.default_rng(seed).uniform(-1, 1, audio.samples).astype(np.float32)
    # Up to 5.15 at least the processor asks its caller, and not its feature extractor.
    length = {"chunk_length": subject.processor.feature_extractor.chunk_length}
    out = subject.processor(text=[TOKEN], audio=[wave], audio_kwargs=length)
    count = int((out["input_ids"] == subject.processor.audio_token_id).sum()) + extra
    # A marker before it and one after it, whose ids the config does not tell: two text tokens.
    return Placed(
        ids=(0, *[subject.config.audio_token_id] * count, 1),
        types=(TEXT, *[AUDIO] * count, TEXT),
        span=(1, 1 + count),
        tensors={name: out[name] for name in ("input_features", "input_features_mask")},
    )


def sizes(subject: Subject) -> dict[str, Any]:
    """Return what a target's :class:`~strategies.geometry.Geometry` says of audio."""
    if not subject.family.audio:
        return {}
    features = subject.processor.feature_extractor
    config = subject.config.audio_config
    merged = config.intermediate_size // config.hidden_size
    return {
        "audio": True,
        "audio_hop": int(features.hop_length),
        "audio_step": int(features.hop_length) * _CONVOLVED * merged,
        "audio_window": int(features.n_samples),
        "most_windows": int(subject.processor.max_audio_len // features.chunk_length),
        "audio_tokens": 2,
        "takes_embeddings": release.generates_from_embeddings(subject.family.architecture),
    }
