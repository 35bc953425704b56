"""Llama turned by the scaled rotary embeddings that checkpoints of many families have.

Families of their own and not an option of a target: each has its own limits, findings and first
release, and whatever is kept or said names a family already.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from fuzz.families import llama
from fuzz.families.family import Family

# What prompts of a few dozen tokens reach past.
ORIGINAL: Final = 32


def _scaled(
    kind: str, title: str, since: str, special: str, table: Mapping[str, Any], maximum: int
) -> Family:
    scaling = {"rope_type": kind, **table}
    return replace(
        llama.FAMILY,
        name=f"llama_{kind}",
        model_type="llama",
        title=f"Llama, {title}",
        since=since,
        config={
            **llama.FAMILY.config,
            "rope_theta": 10000.0,
            "rope_scaling": scaling,
            "max_position_embeddings": maximum,
        },
        special=special,
    )


FAMILIES: Final = (
    _scaled(
        "linear",
        "linear scaling",
        "4.45.0",
        "positions are divided by a factor",
        {"factor": 4.0},
        4 * ORIGINAL,
    ),
    _scaled(
        "dynamic",
        "dynamic NTK",
        "4.45.0",
        "past the original maximum all frequencies follow how far a prompt reaches",
        {"factor": 4.0},
        ORIGINAL,
    ),
    _scaled(
        "yarn",
        "YaRN",
        # Earlier ones do not read original_max_position_embeddings.
        "4.51.0",
        "low frequencies are divided by a factor, high ones are kept, cosine and sine are "
        "lengthened (arXiv:2309.00071)",
        {"factor": 4.0, "original_max_position_embeddings": ORIGINAL},
        4 * ORIGINAL,
    ),
    _scaled(
        "longrope",
        "LongRoPE",
        "4.45.0",
        "each frequency is divided by a number of its own, by another past the original maximum; "
        "cosine and sine are lengthened (arXiv:2402.13753)",
        {
            "factor": 4.0,
            "original_max_position_embeddings": ORIGINAL,
            "short_factor": [1.0 + 0.01 * pair for pair in range(16)],
            "long_factor": [1.0 + 0.2 * pair for pair in range(16)],
        },
        4 * ORIGINAL,
    ),
    _scaled(
        "llama3",
        "Llama 3.1's scaling",
        "4.45.0",
        "long waves are divided by a factor, short ones are kept, with a smooth change between "
        "(arXiv:2407.21783)",
        {
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": ORIGINAL,
        },
        8 * ORIGINAL,
    ),
)
