"""The Target: what a case runs against."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

SDPA: Final = "sdpa"
FLASH: Final = "flash_attention_2"
FLEX: Final = "flex_attention"
ATTENTION: Final = (SDPA, "eager", FLASH, FLEX)
LOW: Final = ("float16", "bfloat16")
DTYPES: Final = ("exact", "float32", *LOW)
REAL: Final = "real"
WEIGHTS: Final = ("random", REAL)


@dataclass(frozen=True, slots=True)
class Target:
    """One thing to run cases against.

    Attributes:
        family: model family, a name in :mod:`fuzz.families`.
        model: a checkpoint directory whose config is used instead of the family's tiny one,
            or "" for the tiny one.
        attn: attention implementation that the properties run on (``attention_agreement``
            compares it with the others).
        dtype: ``exact`` (true float64: nothing is computed below it), or ``float32``, ``float16``
            or ``bfloat16`` as shipped.
        device: a torch device string.
        plants: names of the defects put into the model on purpose.
        weights: ``random``, or ``real`` for those that lie in the checkpoint directory.
    """

    family: str = "qwen2_vl"
    model: str = ""
    attn: str = SDPA
    dtype: str = "exact"
    device: str = "cpu"
    plants: tuple[str, ...] = ()
    weights: str = "random"

    @property
    def name(self) -> str:
        """What people call it: the checkpoint directory with its weights, or the family."""
        if self.weights == REAL:
            return f"{self.model} with its real weights"
        return self.model or self.family


def target_to_plain(target: Target) -> dict[str, Any]:
    """Return the target as JSON-ready data."""
    return {**asdict(target), "plants": list(target.plants)}


def target_from_plain(data: dict[str, Any]) -> Target:
    """Build a target from what :func:`target_to_plain` gave."""
    return Target(**{**data, "plants": tuple(data["plants"])})
