"""Every family runs through every property that applies to it, and defects in it are seen."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fuzz.claims import CLAIMS
from fuzz.families import FAMILIES
from fuzz.plants import PLANTS
from fuzz.verdict import Outcome
from fuzz.worker.tests.test_plants import IN_PROCESS, WITNESSES
from strategies.case import Call, Case, Image, Text, has_images

TEXT = [
    Case(rows=((Text(9),), (Text(4),)), extra_padding=1, decode=1),
    Case(rows=((Text(7),),), chunks=(2, 3), cache="static", cache_room=1, offset=40_000, seed=1),
    Case(rows=((Text(3),), (Text(5),)), entry="generate", decode=3, history=(Call((Text(4),)),)),
]
IMAGES = [
    # 112 by 70 pixels: two attention windows and a part of a third, where a family has windows.
    Case(rows=((Text(2), Image(112, 70), Text(3)), (Image(56, 90), Image(60, 60))), decode=1),
    Case(rows=((Image(112, 112), Text(3)),), chunks=(9, 4), offset=70),
    Case(
        rows=((Image(112, 56), Text(4)),),
        entry="forward-implicit",
        attention_mask=False,
        decode=2,
        history=(Call((Image(56, 56), Text(2))),),
    ),
]
ONLY_FORWARD = ("causality", "packing_invariance")
ONLY_IMAGES = ("clean_rejection", "image_independence")

# What the defect changes is not within reach of the code.
EQUIVALENT = {
    # Prompts are fed whole.
    ("positions-restart", "paligemma"),
    ("flash-causal-top-left", "paligemma"),
    # Nothing in a prefix is hidden.
    ("half-mask-too-small", "paligemma"),
    # Queries and keys are normed: no score comes near the -9.7 that hides a key.
    ("half-mask-too-small", "qwen3_vl"),
    ("half-mask-too-small", "gemma3"),
    ("eager-scale", "gemma3"),
}
# Where upstream fails with images, and what is then said: see the ledger.
KNOWN = {
    ("attention_agreement", "gemma3"): "flash_attention_2 = sdpa: ",
    ("low_precision", "gemma3"): "flash_attention_2 = sdpa in float16: ",
    ("packing_invariance", "gemma3"): "packed = apart: ",
}
AXES = ("mrope-axes-swapped", "stale-rope-deltas")
"""Defects of positions that have several axes."""


def with_images(family: str) -> bool:
    return "vision_config" in FAMILIES[family].config


@pytest.mark.parametrize("family", FAMILIES)
def test_every_property_holds(judge: Callable[..., Outcome], family: str) -> None:
    """Text, images, padding, chunks, caches, generate and earlier calls, where nothing is wrong."""
    cases = [*TEXT, *(IMAGES if with_images(family) else ())]
    for property_id in CLAIMS:
        if property_id == "clean_rejection" or (
            property_id in ONLY_IMAGES and not with_images(family)
        ):
            continue
        if property_id in FAMILIES[family].not_applicable:
            continue
        for case in cases:
            if property_id in ONLY_FORWARD and case.entry == "generate":
                continue
            outcome = judge(property_id, case, family=family)
            known = KNOWN.get((property_id, family), "")
            if known and has_images(case) and outcome.message.startswith(known):
                continue
            assert outcome.verdict == "pass", f"{property_id}, {case}: {outcome.message}"


@pytest.mark.parametrize("family", [f for f in FAMILIES if f != "qwen2_vl"])
def test_defects_are_killed(judge: Callable[..., Outcome], family: str) -> None:
    """Each defect fails its property in every family that has the code, on its smallest case."""
    for name in IN_PROCESS:
        plant, case = PLANTS[name], WITNESSES[name]
        if has_images(case) and not with_images(family):
            continue
        if (name, family) in EQUIVALENT or plant.killer in FAMILIES[family].not_applicable:
            continue
        if name in AXES and "mrope_section" not in repr(FAMILIES[family].config):
            continue
        outcome = judge(plant.killer, case, name, family=family, attn=plant.attn)
        assert outcome.failed, f"{name}: {outcome.message}"
        assert outcome.signature is not None
        assert outcome.signature.property == plant.killer
