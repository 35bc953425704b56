"""Cases that a planted defect breaks: what is found there becomes scripts, in tests.

Each names the property, the case, what it runs on and the defect. Without the defect all of them
are in order.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from strategies.case import Case, Image, Text, Video


@dataclass(frozen=True, slots=True)
class Broken:
    """A case and the defect that breaks it.

    Attributes:
        property: the property that sees it.
        case: the case.
        plant: the defect.
        target: fields of the target that are not at their default.
    """

    property: str
    case: Case
    plant: str
    target: dict[str, Any] = field(default_factory=dict)


TINY = Image(1, 1)
FILM = Video(3, 56, 84)
STILL = Video(1, 56, 84)
IMAGE = (Image(56, 84), Text(3))
PAIR = (Image(56, 84), Text(2), Image(30, 60), Text(1))
FOUR = (Text(4),)
TWO = (FOUR, (Text(2),))
LLAMA = {"family": "llama"}
GLM = {"family": "glm4v"}
LLAVA = {"family": "llava"}
QWEN3 = {"family": "qwen3_vl"}


def generated(how: Any, row: Any = FOUR, **fields: Any) -> Case:
    return Case(rows=(row,), entry="generate", how=how, **{"decode": 3, **fields})


FOUND = {
    "beams": Broken(
        "generation_agreement", generated("beams", decode=4, seed=1), "beams-not-reordered"
    ),
    "beams-image": Broken("generation_agreement", generated("beams", IMAGE), "beams-not-reordered"),
    "samples": Broken(
        "generation_agreement",
        Case(rows=TWO, entry="generate", how="samples", decode=2),
        "padding-leak",
    ),
    "chunked": Broken(
        "generation_agreement", generated("chunked", chunks=(2,)), "positions-restart"
    ),
    "second-turn": Broken(
        "generation_agreement", generated("greedy", IMAGE, turn=2), "positions-restart"
    ),
    "assisted": Broken(
        "generation_agreement", generated("assisted", decode=5, gain=3.0), "guesses-kept"
    ),
    "second-turn-image": Broken(
        "generation_agreement",
        generated("greedy", turn=1, turn_image=Image(56, 84)),
        "later-images-blank",
    ),
    "embeddings": Broken(
        "generation_agreement",
        Case(rows=TWO, entry="generate-embeds", decode=2),
        "padding-leak",
    ),
    "first-key": Broken("visibility", Case(rows=((Text(4),),)), "first-key-hidden"),
    "first-key-llama": Broken("visibility", Case(rows=((Text(4),),)), "first-key-hidden", LLAMA),
    "hidden-image": Broken("visibility", Case(rows=(IMAGE,)), "image-hidden-from-text"),
    "seen-early": Broken("visibility", Case(rows=(IMAGE,)), "causal-off-by-one"),
    "leak": Broken("image_independence", Case(rows=(PAIR,)), "vision-leak"),
    "leak-rows": Broken(
        "image_independence", Case(rows=((TINY,), (Image(30, 60),)), gain=3.0), "vision-leak"
    ),
    "leak-fixed": Broken(
        "image_independence", Case(rows=((TINY, TINY),)), "vision-leak", {"family": "llava"}
    ),
    "positions": Broken("rotary_reference", Case(rows=(IMAGE,)), "mrope-axes-swapped"),
    "positions-implicit": Broken(
        "rotary_reference",
        Case(rows=((Text(1),), IMAGE), entry="forward-implicit"),
        "mrope-axes-swapped",
        QWEN3,
    ),
    "positions-generate": Broken(
        "rotary_reference",
        Case(rows=(IMAGE,), entry="generate", decode=2),
        "mrope-axes-swapped",
        GLM,
    ),
    "gradients": Broken(
        "attention_agreement", Case(rows=TWO, mode="train"), "eager-gradient", {"attn": "sdpa"}
    ),
    "gradients-image": Broken(
        "attention_agreement", Case(rows=((TINY,),), mode="train"), "eager-gradient"
    ),
    "abort": Broken("no_crash", Case(rows=((Image(4, 1),),)), "abort"),
    "abort-padded": Broken(
        "padding_invariance", Case(rows=((Image(4, 1),),), extra_padding=1), "abort"
    ),
    "hang": Broken("no_crash", Case(rows=((Image(1, 1), Image(1, 1)),)), "hang"),
    "exit": Broken("no_crash", Case(cache="static"), "exit"),
    "video-positions": Broken(
        "rotary_reference", Case(rows=((FILM, Text(2)),)), "video-times-lost"
    ),
    "video-axes": Broken(
        "rotary_reference",
        Case(rows=((FILM, Text(2)),), entry="forward-implicit"),
        "mrope-axes-swapped",
        QWEN3,
    ),
    "video-axes-glm": Broken(
        "rotary_reference", Case(rows=((FILM, Text(2)),)), "mrope-axes-swapped", GLM
    ),
    "frames": Broken("visibility", Case(rows=((FILM, Text(2)),)), "frames-skipped"),
    "frames-glm": Broken("visibility", Case(rows=((Text(1), FILM),)), "frames-skipped", GLM),
    "leak-frames": Broken("image_independence", Case(rows=((FILM, TINY),)), "vision-leak"),
    "leak-video": Broken("image_independence", Case(rows=((STILL, STILL),)), "vision-leak"),
    "leak-steps": Broken("image_independence", Case(rows=((FILM,),)), "vision-leak", GLM),
    "video-padding": Broken(
        "padding_invariance",
        Case(rows=((FILM, Text(2)),), extra_padding=2, entry="generate", decode=2),
        "padding-leak",
    ),
    "later-image": Broken(
        "causality", Case(rows=((Text(2), Image(56, 84)), (Text(3),))), "causal-off-by-one"
    ),
    "later-text": Broken("causality", Case(rows=(IMAGE,)), "causal-off-by-one", QWEN3),
    "later-frames": Broken(
        "causality", Case(rows=((Text(2), FILM),), entry="forward-implicit"), "causal-off-by-one"
    ),
    "two-pieces": Broken(
        "cache_agreement", Case(rows=((Image(56, 84),),), chunks=(3,)), "positions-restart"
    ),
    "two-pieces-llava": Broken(
        "cache_agreement", Case(rows=((TINY,),), chunks=(5,)), "cache-slot-overwritten", LLAVA
    ),
    "packed-images": Broken(
        "packing_invariance", Case(rows=(IMAGE, (Text(1), Image(30, 60)))), "packing-ignored"
    ),
    "packed-text": Broken("packing_invariance", Case(rows=(FOUR, IMAGE)), "packing-ignored", QWEN3),
    "packed-llava": Broken(
        "packing_invariance",
        Case(rows=((TINY, Text(1)), FOUR)),
        "packing-ignored",
        LLAVA,
    ),
    "low-image": Broken("low_precision", Case(rows=(IMAGE,), gain=3.0), "half-mask-too-small"),
    "low-frames": Broken(
        "low_precision",
        Case(rows=((FILM, Text(2)),), entry="forward-implicit", gain=3.0),
        "half-mask-too-small",
    ),
    "turned": Broken("rotary_reference", Case(rows=(TWO[0],)), "another-base", LLAMA),
    "turned-rows": Broken("rotary_reference", Case(rows=TWO), "wrong-half"),
    "turned-neighbours": Broken("rotary_reference", Case(rows=(TWO[0],)), "wrong-half", GLM),
    "turned-patches": Broken("rotary_reference", Case(rows=(IMAGE,)), "vision-axes-exchanged"),
    "turned-frames": Broken("rotary_reference", Case(rows=((FILM,),)), "patches-in-rows"),
    "turned-windows": Broken(
        "rotary_reference", Case(rows=(IMAGE,)), "vision-axes-exchanged", {"family": "qwen2_5_vl"}
    ),
    "neighbours": Broken(
        "batch_invariance",
        Case(rows=(IMAGE, (Text(1), Image(30, 60))), entry="forward-implicit"),
        "batch-crosstalk",
    ),
}
