"""What is known of the families without building any: ``ropefuzz families``, README's table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from fuzz.families import FAMILIES
from fuzz.families.family import Family
from fuzz.families.not_covered import NOT_COVERED

ONLY_WITH_IMAGES: Final = ("clean_rejection", "image_independence")
"""Properties that say nothing about a text model; the strategies know why."""
NO_IMAGES: Final = "the target takes no images and no audio"
HEADER: Final = "| family | stands for | since | rotary embedding | video | special |"
VIDEO: Final = {
    "block": "in one block",
    "timed steps": "step by step, a time before each",
    "steps as images": "step by step, a time after each",
    "": "no",
}
"""In a few words, by the name of the layout; a step is a temporal patch."""


def rotary_of(family: Family) -> str:
    """Return the kind of the decoder's rotary embedding in a few words, read off the config."""
    config = family.config
    text: Mapping[str, Any] = config.get("text_config", config)
    table: Mapping[str, Any] = text.get("rope_parameters") or text.get("rope_scaling") or {}
    if "xdrope_section" in table:
        axes = "four axes"
    elif "mrope_section" in table:
        axes = "three axes, " + ("interleaved" if table.get("mrope_interleaved") else "in chunks")
    else:
        axes = "one axis"
    kind = table.get("rope_type") or table.get("type") or "default"
    scaled = "" if kind in ("default", "mrope") else f", {kind}"
    part = text.get("partial_rotary_factor") or table.get("partial_rotary_factor") or 1
    partial = f", {part:g} of a head" if part != 1 else ""
    return axes + scaled + partial


def not_applicable(family: Family) -> dict[str, str]:
    """Return the properties that say nothing about a family in any release, with the reason."""
    reasons = dict(family.not_applicable)
    if not family.audio and ("vision_config" not in family.config or not family.placing):
        reasons.update(dict.fromkeys(ONLY_WITH_IMAGES, NO_IMAGES))
    return dict(sorted(reasons.items()))


def lines() -> Iterator[str]:
    """Yield what a terminal shows."""
    for family in FAMILIES.values():
        yield f"{family.name}: {family.title}, since transformers {family.since}"
        yield f"  rotary embedding: {rotary_of(family)}"
        yield f"  video: {VIDEO[family.video]}{_reason(family.without_video)}"
        if family.audio:
            yield f"  audio: in {family.audio}"
        yield f"  special: {family.special}"
        for name, reason in not_applicable(family).items():
            yield f"  {name} is not applicable: {reason}"
    yield "any other model_type, with --model DIR: what is needed is read off the directory's"
    yield "  config, the model's code and the running model; what cannot be decided is said, and"
    yield "  the properties that need it are not applicable"
    yield "not covered, and why:"
    for name, reason in NOT_COVERED.items():
        yield f"  {name}: {reason}"


def markdown() -> Iterator[str]:
    """Yield README's table."""
    yield HEADER
    yield "|---|---|---|---|---|---|"
    for f in FAMILIES.values():
        cells = f.title, f.since, rotary_of(f), VIDEO[f.video], f.special
        yield f"| `{f.name}` | {' | '.join(cells)} |"


def _reason(why: str) -> str:
    return f": {why}" if why else ""
