"""Every family runs through every property that applies to it, and defects in it are seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from fuzz.claims import CLAIMS
from fuzz.families import FAMILIES
from fuzz.families_table import VIDEO
from fuzz.plants import PLANTS
from fuzz.target import FLASH, SDPA
from fuzz.verdict import Outcome
from fuzz.worker.tests.test_plants import IN_PROCESS, WITNESSES
from strategies.case import (
    Audio,
    Call,
    Case,
    Image,
    Text,
    Video,
    has_images,
    has_videos,
)
from strategies.kinds import KINDS
from strategies.validity import refusals

if TYPE_CHECKING:
    from fuzz.worker.subject import Subject

LONG = (Call((Text(40),)),)
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
# Two temporal patches, the last of one frame; not for so long that text overlaps it (the ledger).
VIDEOS = [Case(rows=((Text(2), Video(3, 56, 56, 0.25), Text(3)), (Text(4),)), decode=1)]
# More than a window of two seconds, and, in the second row, too little for a token.
AUDIO = [
    Case(rows=((Text(2), Audio(33_000)), (Audio(900), Text(3))), decode=1),
    Case(rows=((Audio(4000), Text(3)),), chunks=(2,), entry="forward-implicit", gain=3.0),
]
# Where rotation follows how far a prompt reaches, and prompts of different reach are compared.
ALIKE = [replace(TEXT[0], offset=3), replace(TEXT[1], offset=20), replace(TEXT[2], history=LONG)]
# What is asked of these properties alone, of what a target has of it.
FED_ON = {
    "cache_agreement": [
        Case(rows=((Text(6),), (Text(4),)), chunks=(2, 1), crop=2, cache="own"),
        Case(rows=((Text(9),), (Text(4),)), chunks=(2, 1), decode=2, cache="quantized"),
    ],
    "state_independence": [Case(rows=((Text(6),), (Text(4),)), chunks=(2, 1), between=LONG)],
}
ONLY_FORWARD = ("causality", "packing_invariance")
ONLY_IMAGES = ("clean_rejection", "image_independence")

ANY_RESOLUTION = ("llava_next", "llava_onevision", "granite4_vision")

# What the defect changes is not within reach of the code.
EQUIVALENT = {
    # Prompts are fed whole.
    ("positions-restart", "paligemma"),
    ("cache-rows-exchanged", "paligemma"),
    ("cache-slot-overwritten", "paligemma"),
    ("padding-forgotten-later", "paligemma"),
    ("own-cache-last-key", "paligemma"),
    ("quantized-scale", "paligemma"),
    ("length-remembered", "paligemma"),
    ("flash-causal-top-left", "paligemma"),
    # Nothing in a prefix is hidden.
    ("half-mask-too-small", "paligemma"),
    # Queries and keys are normed: no score comes near the -9.7 that hides a key.
    ("half-mask-too-small", "qwen3"),
    ("half-mask-too-small", "qwen3_vl"),
    ("half-mask-too-small", "qwen3_vl_moe"),
    ("half-mask-too-small", "hunyuan_vl"),
    ("half-mask-too-small", "gemma3"),
    ("eager-scale", "gemma3"),
    # Embeddings, tied and scaled up, make every token repeat itself: beams hold the same tokens.
    ("beams-not-reordered", "gemma3"),
    # Layers of linear attention see it all the same, and hand it on.
    ("first-key-hidden", "qwen3_5"),
    ("first-key-hidden", "qwen4_exp"),
    ("image-hidden-from-text", "qwen4_exp"),
    ("image-hidden-from-text", "qwen3_5"),
    # Cross attention sees an image, whatever the text's attention hides.
    ("image-hidden-from-text", "mllama"),
    # The next position is always the number of tokens so far.
    ("stale-rope-deltas", "hunyuan_vl"),
    ("rope-deltas-lost", "hunyuan_vl"),
    # flash_attention_2 does not run at all: see the ledger.
    ("flash-last-key-ignored", "glm4v_moe"),
    ("flash-causal-top-left", "glm4v_moe"),
    # Its sinks leave nothing but eager to compare on a CPU.
    ("rotary-table-short-flash", "gpt_oss"),
    ("half-mask-too-small", "gpt_oss"),
    ("flash-last-key-ignored", "gpt_oss"),
    ("flash-causal-top-left", "gpt_oss"),
}
# Tied embeddings make tokens repeat themselves: not with every seed do beams change places.
SEEDS = {("beams-not-reordered", name): 1 for name in ("gemma2", "cohere2", "qwen3", "qwen4_exp")}
# The number of tokens follows from the grid, so that the library itself refuses it.
EQUIVALENT |= {("grid-transposed", "hunyuan_vl")}
# Killed by chance: it takes a guess that is turned down, which random weights give or do not.
BY_CHANCE = {"guesses-kept"}
# The last feature of every image is the same learned line break: that is what its first placeholder
# gets, whichever image is before it.
EQUIVALENT |= {("features-one-late", family) for family in ANY_RESOLUTION}
# Placeholders are held against the grid as well, where positions are made.
EQUIVALENT |= {("placeholders-unchecked", "hunyuan_vl")}
# Queries are scaled down (attention_multiplier): no score comes near the -9.7 that hides a key.
EQUIVALENT |= {("half-mask-too-small", "granite4_vision")}
# It makes no cache: see the ledger.
EQUIVALENT |= {("own-cache-last-key", "granite4_vision")}
# Whose code is another family's, or mostly so, and what is looked at all the same.
TWINS = {
    "glm46v",
    "glm_ocr",
    "granite4_vision",
    "qwen3_5_moe",
    "qwen3_vl_moe",
    "qwen4_exp",
    "smollm3",
}
# The same code turning by other numbers: one of them meets every defect.
TWINS |= {"llama_linear", "llama_yarn", "llama_longrope", "llama_llama3"}
TWINS_PLANTS = ("mrope-axes-swapped", "causal-off-by-one", "vision-leak")
# Where upstream fails (with images, where a family has any), and what is then said: see the ledger.
KNOWN: dict[tuple[str, str], str | tuple[str, ...]] = {
    ("attention_agreement", "gemma3"): "flash_attention_2 = sdpa: ",
    ("low_precision", "gemma3"): "flash_attention_2 = sdpa in float16: ",
    ("packing_invariance", "gemma3"): "packed = apart: ",
    ("attention_agreement", "glm4v_moe"): "ContractError in modeling_flash_attention_utils.",
    ("low_precision", "glm4v_moe"): "ContractError in modeling_flash_attention_utils.",
    ("attention_agreement", "glm46v"): "ContractError in modeling_flash_attention_utils.",
    ("low_precision", "glm46v"): "ContractError in modeling_flash_attention_utils.",
    ("rotary_reference", "hunyuan_vl"): ("position ids, forward: row 1, ", "text rotation: "),
    ("packing_invariance", "gpt_oss"): "packed = apart: ",
    ("batch_invariance", "hunyuan_vl"): "in a batch = alone, forward: ",
    ("visibility", "mllama"): "hidden from earlier tokens: image ",
    ("batch_invariance", "mllama"): "in a batch = alone, ",
    ("causality", "mllama"): "before a later image = unchanged, ",
    ("generation_agreement", "mllama"): ("generated, ", "scores of beams "),
}
# A model that was cast turns by rounded frequencies. All forget it where only differences of
# positions count; here norms follow the rotation.
KNOWN_CAST = {"hunyuan_vl"}
# Asked for a cache, the model makes none.
NO_CACHE = {"granite4_vision"}
AXES = ("mrope-axes-swapped", "stale-rope-deltas")
"""Defects of positions that have several axes."""


def with_images(family: str) -> bool:
    return "vision_config" in FAMILIES[family].config and bool(FAMILIES[family].placing)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_wrappers_of_the_exact_lane_compute_what_its_mode_does(
    family: str, subject_of: Callable[..., Subject]
) -> None:
    """Bit for bit: whoever asks for float32 in a family's code asks one of the wrapped functions.

    The mode sees every request, and decides on every failure; where both agree it is asked for
    nothing else.
    """
    import torch

    from fuzz.worker import calls
    from fuzz.worker.exact import lane
    from fuzz.worker.subject import model_of
    from fuzz.worker.widen import everywhere

    subject = subject_of(family=family, attn=FAMILIES[family].attention)
    case = (IMAGES if with_images(family) else TEXT)[0]
    model = model_of(subject)
    with lane("exact"):
        quick = calls.run(subject, model, case, calls.batch_of(subject, case))
    with everywhere(), lane("exact"):
        sure = calls.run(subject, model, case, calls.batch_of(subject, case))
    for a, b in zip(quick.logits, sure.logits, strict=True):
        assert torch.equal(a, b)


def test_a_family_says_which_caches_it_has_not(subject_of: Callable[..., Subject]) -> None:
    from fuzz.worker.caches import said_of_lacks

    assert said_of_lacks(subject_of(family="llama")) == ()
    assert said_of_lacks(subject_of(family="qwen4_exp")) == (
        "no cache is quantized: quantized caches are for layers of full attention alone",
        "no cache is cropped: no token can be taken out of what layers without keys keep",
    )


def test_full_attention_sees_further_than_the_most_positions_of_a_config(
    judge: Callable[..., Outcome],
) -> None:
    """Dynamic NTK is there to go on beyond them."""
    longest = FAMILIES["llama_dynamic"].config["max_position_embeddings"]
    case = Case(rows=((Text(longest + 8),),))
    assert judge("visibility", case, family="llama_dynamic").verdict == "pass"


def many_axes(family: str) -> bool:
    config = repr(FAMILIES[family].config)
    return "mrope_section" in config or "xdrope_section" in config


@pytest.mark.parametrize("family", FAMILIES)
def test_every_property_holds(
    judge: Callable[..., Outcome], subject_of: Callable[..., Subject], family: str
) -> None:
    """Text, images, padding, chunks, caches, generate and earlier calls, where nothing is wrong.

    And no property passes for want of anything to look at.
    """
    cases = [*TEXT, *(IMAGES if with_images(family) else ())]
    if family in TWINS:
        cases = [IMAGES[0], IMAGES[2], TEXT[2]] if with_images(family) else TEXT
    if FAMILIES[family].video:
        cases = [*cases, *VIDEOS]
    if FAMILIES[family].audio:
        cases = [*cases, *AUDIO]
    from fuzz.worker.applicability import not_applicable
    from fuzz.worker.geometry import geometry_of

    subject = subject_of(family=family, attn=FAMILIES[family].attention)
    reasons = not_applicable(subject)
    geometry = geometry_of(subject)
    limit = geometry.alike_up_to
    for property_id in CLAIMS:
        if property_id == "clean_rejection" or (
            property_id in ONLY_IMAGES and not with_images(family) and not FAMILIES[family].audio
        ):
            continue
        if property_id in reasons:
            continue
        demands = next(d for kind, d in KINDS.items() if kind == property_id)
        looked = 0
        for case in (*(ALIKE if limit and demands.alike else cases), *FED_ON.get(property_id, ())):
            if refusals(case, geometry):
                continue
            if property_id in ONLY_FORWARD and case.entry == "generate":
                continue
            outcome = judge(property_id, case, family=family, attn=FAMILIES[family].attention)
            looked += not outcome.idle
            if case.cache == "own" and family in NO_CACHE:
                assert outcome.failed
                continue
            known = KNOWN.get((property_id, family), "")
            about = has_images(case) or not with_images(family)
            if known and about and outcome.message.startswith(known):
                continue
            if family in KNOWN_CAST and outcome.message.startswith("cast to float16 = "):
                continue
            assert outcome.verdict == "pass", f"{property_id}, {case}: {outcome.message}"
        assert looked, f"{property_id} has had nothing to compare in any case"


@pytest.mark.parametrize("family", [f for f in FAMILIES if f != "qwen2_vl"])
def test_defects_are_killed(
    judge: Callable[..., Outcome], subject_of: Callable[..., Subject], family: str
) -> None:
    """Each defect fails its property in every family that has the code, on its smallest case."""
    from fuzz.worker.applicability import not_applicable
    from fuzz.worker.errors import NothingToBreakError
    from fuzz.worker.geometry import geometry_of
    from fuzz.worker.implementations import part_without_flash

    own = FAMILIES[family].attention
    subject = subject_of(family=family, attn=own)
    reasons, geometry = not_applicable(subject), geometry_of(subject)
    without_flash = part_without_flash(subject)
    missed = {}
    for name in TWINS_PLANTS if family in TWINS else IN_PROCESS:
        plant, case = PLANTS[name], WITNESSES[name]
        if plant.family not in ("qwen2_vl", family):
            # Its smallest case is one for that family's window.
            continue
        if plant.attn == FLASH and without_flash:
            continue
        if refusals(replace(case, extra_placeholders=0), geometry):
            continue
        # In a position is a frame's time only where frames stand in one block.
        layouts = ("block",) if name == "video-times-lost" else tuple(filter(None, VIDEO))
        if has_videos(case) and FAMILIES[family].video not in layouts:
            continue
        if (name, family) in EQUIVALENT or plant.killer in reasons:
            continue
        if name in BY_CHANCE:
            continue
        if name in AXES and not many_axes(family):
            continue
        if (name, family) in SEEDS:
            case = replace(case, seed=SEEDS[name, family])
        attn = own if plant.attn == SDPA else plant.attn
        try:
            outcome = judge(plant.killer, case, name, family=family, attn=attn)
        except NothingToBreakError:
            continue
        if outcome.signature is None or outcome.signature.property != plant.killer:
            missed[name] = f"{outcome.verdict} {outcome.message}"
    assert missed == {}
