"""A baseline: the fixed grid of transformers' own tests, in every way that they call a model.

Theirs are three dtypes, two padding sides, and a mask or none, over batches of three prompts of
seven tokens, each with one image of 8x8 pixels at its start (``ModelTesterMixin``'s comparison of
attention implementations and the testers of vision language models), called by ``forward`` and by
``generate`` (``GenerationTesterMixin``: greedily, with samples, beams and guesses, with dynamic and
static caches, from embeddings).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from typing import Final

from strategies.case import Call, Case, Image, Row, Side, Text, to_json
from strategies.geometry import Geometry
from strategies.kinds import KINDS, Kind
from strategies.validity import may_be_padded, problems, refusals, trainable

DTYPES: Final = ("exact", "float16", "bfloat16")
"""The exact lane stands for float32: there a difference shows that float32 would hide."""
BATCH: Final = 3
TOKENS: Final = 7
SIDE: Final = 8
NEW: Final = 2


def grid(geometry: Geometry, kind: Kind, of: int) -> Iterator[Case]:
    """Yield the cases of the grid for one dtype, the plainest call first.

    Args:
        geometry: the target's sizes.
        kind: the property that the cases are for.
        of: draws token ids and pixels, which is all that differs between seeds.
    """
    demands = KINDS[kind]
    seen: set[str] = set()
    for form, (side, masked) in product(_forms(geometry, kind), _MASKS):
        padding = max(int(masked), demands.extra_padding)
        case = replace(
            form,
            side=side,
            extra_padding=padding,
            attention_mask=masked or may_be_padded(form.rows, padding),
            seed=of,
        )
        if demands.plain:
            case = Case(rows=form.rows, seed=of)
        text = to_json(case)
        fits = bool(refusals(case, geometry)) is not demands.valid
        if fits and text not in seen and not problems(case):
            seen.add(text)
            yield case


_MASKS: Final[tuple[tuple[Side, bool], ...]] = (
    ("left", True),
    ("right", True),
    ("left", False),
    ("right", False),
)


def _forms(geometry: Geometry, kind: Kind) -> Iterator[Case]:
    """Yield the ways of calling a model that say something about a property."""
    demands = KINDS[kind]
    row = _row(geometry)
    plain = Case(rows=(row,) * BATCH)
    if demands.history:
        # Their tests call one model again and again, with what they called it with before.
        plain = replace(plain, history=(Call(row),))
    if not demands.valid:
        # "mismatching number of image tokens": one placeholder more than features, one less.
        plain = replace(plain, extra_placeholders=1)
    generating = replace(plain, entry="generate", decode=NEW)
    if demands.generated:
        yield from (replace(generating, how=how) for how in ("greedy", "samples", "beams"))
        alone = replace(generating, rows=(row,), attention_mask=False)
        yield from (replace(alone, how="lookup"), replace(alone, turn=TOKENS))
        yield replace(generating, rows=((Text(TOKENS),),) * BATCH, entry="generate-embeds")
        return
    for entry in ("forward", "forward-implicit"):
        form = replace(plain, entry=entry)
        if not demands.fed_in_pieces:
            yield form
        if demands.trained and trainable(form.rows):
            yield replace(form, mode="train")
        if demands.valid and not demands.plain:
            yield from _fed_on(form)
    if not demands.forward_only and not demands.plain:
        yield generating
        if demands.valid:
            yield replace(generating, cache="static")
            yield replace(generating, rows=((Text(TOKENS),),) * BATCH, entry="generate-embeds")
    if not demands.valid:
        yield replace(plain, extra_placeholders=-1)


def _fed_on(form: Case) -> Iterator[Case]:
    """Yield a prompt whose last token comes alone, with both kinds of cache."""
    yield replace(form, decode=1)
    yield replace(form, decode=1, cache="static")


def _row(geometry: Geometry) -> Row:
    if not geometry.images:
        return (Text(TOKENS),)
    side = max(SIDE, geometry.min_side)
    return (Image(side, side), Text(TOKENS))
