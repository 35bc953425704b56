"""The checks behind the claims of :mod:`fuzz.claims`, one file each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from fuzz.worker.properties import (
    attention_agreement,
    batch_invariance,
    cache_agreement,
    causality,
    clean_rejection,
    generation_agreement,
    image_independence,
    low_precision,
    no_crash,
    packing_invariance,
    padding_invariance,
    rotary_reference,
    state_independence,
    visibility,
)
from fuzz.worker.subject import Subject
from strategies.case import Case

CHECKS: Final[dict[str, Callable[[Subject, Case], None]]] = {
    "no_crash": no_crash.check,
    "clean_rejection": clean_rejection.check,
    "rotary_reference": rotary_reference.check,
    "attention_agreement": attention_agreement.check,
    "cache_agreement": cache_agreement.check,
    "padding_invariance": padding_invariance.check,
    "batch_invariance": batch_invariance.check,
    "causality": causality.check,
    "state_independence": state_independence.check,
    "image_independence": image_independence.check,
    "packing_invariance": packing_invariance.check,
    "low_precision": low_precision.check,
    "visibility": visibility.check,
    "generation_agreement": generation_agreement.check,
}
