"""Findings made up for tests: of every claim that a script can show, on what holds it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from fuzz.regression import Regression
from fuzz.target import Target
from fuzz.verdict import Signature
from strategies.case import Call, Case, Image, Text


def made_up(
    property_id: str, case: Case, what: str = "a leg", *, row: int = 0, **target: Any
) -> Regression:
    """Return a finding that two results differ, as if it had been saved."""
    return Regression(
        path=Path("made/up.json"),
        property=property_id,
        case=case,
        signature=Signature(property_id, "fail", what),
        message=f"{what}: logits of row {row}: differ by 1.6 (tolerance 1e-09)",
        target=Target(**{"family": "qwen2_vl", **target}),
        versions={"transformers": "5.23.0", "torch": "2.13.0"},
    )


IMAGE = (Image(56, 84), Text(3))
TWO = ((Text(4),), (Text(2),))
EARLIER = (Call((Text(3),)), Call((Text(2),), "generate"))

# Nothing of this is broken, so a script that says anything but "gone" is itself wrong.
SOUND = {
    "cache": made_up("cache_agreement", Case(rows=TWO, chunks=(1,), decode=1)),
    "cache-static": made_up("cache_agreement", Case(cache="static", rows=((Text(5),),), decode=2)),
    "cache-image": made_up("cache_agreement", Case(rows=(IMAGE,), decode=2)),
    "cache-generate": made_up("cache_agreement", Case(rows=(IMAGE,), entry="generate", decode=3)),
    "attention": made_up("attention_agreement", Case(rows=(IMAGE,)), "eager = sdpa"),
    "trained": made_up("attention_agreement", Case(rows=TWO, mode="train"), "eager = sdpa"),
    "trained-loss": made_up(
        "attention_agreement", Case(rows=(IMAGE,), mode="train"), "loss: eager = sdpa"
    ),
    "attention-far": made_up(
        "attention_agreement", Case(rows=TWO, offset=9, gap=5, gap_at=1), "eager = sdpa"
    ),
    "padding": made_up("padding_invariance", Case(rows=(IMAGE,), extra_padding=2)),
    "padding-right": made_up(
        "padding_invariance", Case(rows=TWO[:1], extra_padding=2, side="right")
    ),
    "batch": made_up("batch_invariance", Case(rows=TWO, entry="generate", decode=2), row=1),
    "batch-images": made_up("batch_invariance", Case(rows=(IMAGE, (Text(1), Image(1, 1))))),
    "causality": made_up("causality", Case(rows=TWO, side="right")),
    "state-image": made_up(
        "state_independence",
        Case(
            rows=(IMAGE,),
            decode=1,
            entry="forward-implicit",
            history=(Call((Image(112, 28),)),),
            attention_mask=False,
        ),
    ),
    "state": made_up("state_independence", Case(rows=((Text(3),),), history=EARLIER)),
    "embeds": made_up("state_independence", Case(rows=((Text(3),),), entry="generate-embeds")),
    "far": made_up("rotary_reference", Case(rows=TWO, offset=100_000), "far out = at 0"),
    "packing": made_up("packing_invariance", Case(rows=TWO), row=1),
    "finite": made_up("no_crash", Case(rows=(IMAGE,)), "finite"),
    "low": made_up("low_precision", Case(rows=TWO, gain=3.0), "eager = sdpa in float16"),
    "narrow": replace(
        made_up("cache_agreement", Case(rows=TWO, decode=2), family="qwen3_vl_moe", attn="eager"),
        message="dynamic cache = no cache: differ by 2e-08",
    ),
    "llama": made_up("cache_agreement", Case(rows=TWO, decode=2), family="llama", dtype="float32"),
    "gemma3": made_up("attention_agreement", Case(rows=(IMAGE,)), "eager = sdpa", family="gemma3"),
    "glm4v": made_up("cache_agreement", Case(rows=(IMAGE,), decode=1), family="glm4v"),
    "linear": made_up("cache_agreement", Case(rows=(IMAGE,), decode=1), family="qwen3_5"),
}

TOO_MANY = replace(
    made_up("clean_rejection", Case(rows=(IMAGE,), extra_placeholders=1), family="gemma3"),
    signature=Signature("clean_rejection", "fail", "accepted too many or too few image tokens"),
)

CARRIED = {
    "padding-leak": made_up(
        "padding_invariance", Case(rows=((Text(4),),), extra_padding=2), plants=("padding-leak",)
    ),
    "batch-crosstalk": made_up(
        "batch_invariance", Case(rows=TWO), row=1, plants=("batch-crosstalk",)
    ),
    "eager-scale": made_up(
        "attention_agreement", Case(rows=TWO), "eager = sdpa", plants=("eager-scale",)
    ),
    "mrope-axes-swapped": replace(
        made_up(
            "rotary_reference",
            Case(rows=(IMAGE,)),
            "position ids, forward",
            plants=("mrope-axes-swapped",),
        ),
        message="row 0, token 2: (time, height, width) is (1, 2, 1), expected (1, 1, 2)",
    ),
    "positions-rounded": replace(
        made_up(
            "rotary_reference",
            Case(rows=(TWO[0],), offset=1001),
            "position ids, forward",
            plants=("positions-rounded",),
        ),
        message="row 0, token 0: (time, height, width) is (1000, 1000, 1000), expected "
        "(1001, 1001, 1001)",
    ),
    "stale-rope-deltas": made_up(
        "state_independence",
        Case(
            rows=(IMAGE,),
            decode=1,
            entry="forward-implicit",
            history=(Call((Image(112, 28),)),),
            attention_mask=False,
        ),
        plants=("stale-rope-deltas",),
    ),
}
"""What scripts plant themselves."""

PLANTED = {
    "cache @ positions-restart": SOUND["cache"],
    "padding @ padding-leak": SOUND["padding"],
    "batch @ batch-crosstalk": SOUND["batch"],
    "causality @ causal-off-by-one": SOUND["causality"],
    "state-image @ stale-rope-deltas": SOUND["state-image"],
    "packing @ packing-ignored": SOUND["packing"],
    "low @ half-mask-too-small": SOUND["low"],
    "rejection @ placeholders-unchecked": TOO_MANY,
}
"""What is sound on released code, with the planted defect that breaks it."""
