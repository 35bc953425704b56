"""The planted defects by name: what each does and which property is expected to see it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from fuzz.faults import FAULTS, PREFIX
from fuzz.target import FLASH


@dataclass(frozen=True, slots=True)
class Plant:
    """One defect that can be put into the installed model, to prove that it would be found.

    Attributes:
        name: its name on the command line.
        sentence: what goes wrong.
        killer: the property that must find it.
        attn: attention implementation of the target on which it must find it.
    """

    name: str
    sentence: str
    killer: str
    attn: str = "sdpa"


PLANTS: Final[dict[str, Plant]] = {
    p.name: p
    for p in (
        Plant(
            "rotary-table-short",
            "the cos/sin table has cache_position[-1] rows, one too few, and is indexed by "
            "position ids (the original bug)",
            "no_crash",
        ),
        Plant(
            "rotary-table-short-flash",
            "the same, but only with flash_attention_2, as it happened",
            "no_crash",
            FLASH,
        ),
        Plant(
            "rotary-table-short-device",
            "the same, on a stand-in for a device, where it is an assertion that costs the process",
            "no_crash",
        ),
        Plant(
            "positions-restart",
            "a prefill chunk after the first restarts positions at 0",
            "cache_agreement",
        ),
        Plant("padding-leak", "attention sees padding", "padding_invariance"),
        Plant("causal-off-by-one", "a token sees the token after it", "causality"),
        Plant("mrope-axes-swapped", "height and width positions are exchanged", "rotary_reference"),
        Plant(
            "stale-rope-deltas",
            "the first prompt's rope_deltas are kept for every later one",
            "state_independence",
        ),
        Plant("batch-crosstalk", "every row uses the first row's mask", "batch_invariance"),
        Plant("vision-leak", "images of one call attend to each other", "image_independence"),
        Plant(
            "packing-ignored",
            "sequences packed into one row attend to each other",
            "packing_invariance",
        ),
        Plant(
            "eager-scale",
            "eager attention scales its scores by 1.01",
            "attention_agreement",
        ),
        Plant(
            "half-mask-too-small",
            "eager attention masks with the logarithm of the dtype's smallest number, which in "
            "float16 is a score like others (-9.7)",
            "low_precision",
        ),
        Plant(
            "eager-gradient",
            "eager attention scales the gradients of its query projections by 1.01, in training",
            "attention_agreement",
        ),
        Plant(
            "flash-last-key-ignored",
            "flash-attn's kernel leaves out the last key of each sequence",
            "attention_agreement",
            FLASH,
        ),
        Plant(
            "flash-causal-top-left",
            "flash-attn's kernel aligns its causal mask with the first key, not with the last",
            "attention_agreement",
            FLASH,
        ),
        Plant(
            "placeholders-unchecked",
            "image placeholders are not counted against image features",
            "clean_rejection",
        ),
        Plant(
            "first-key-hidden",
            "no later token sees the first one of a prompt",
            "visibility",
        ),
        Plant(
            "image-hidden-from-text",
            "text after an image sees the marker behind it, but not the image",
            "visibility",
        ),
        Plant(
            "beams-not-reordered",
            "the cache stays as it is when beams change places",
            "generation_agreement",
        ),
        Plant("abort", "the process aborts on an image with one merged row", "no_crash"),
        Plant("hang", "the process hangs on two images in one call", "no_crash"),
        Plant(
            "exit", "the process exits without an answer when a static cache is used", "no_crash"
        ),
        Plant(
            "sticky-device-error",
            "a device error poisons the process on a right-padded batch",
            "no_crash",
        ),
    )
}

PLANT_NAMES: Final = (*PLANTS, *(f"{PREFIX}{name}" for name in FAULTS))
"""What can be planted: the defects above, and every fault of :mod:`fuzz.faults`."""
