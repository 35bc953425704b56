"""A failure on one axis is minimized to that axis: the least value there, defaults elsewhere.

Both ways are held to it: Hypothesis's shrinker on the choices, and simplification of the case.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import find

from strategies.case import Call, Case, Image, Text, images_of
from strategies.cases import cases
from strategies.geometry import estimated_grid, estimated_tokens
from strategies.kinds import Kind
from strategies.simpler import simpler
from strategies.tests.examples import QWEN2_VL, explicit, single_draws
from strategies.validity import may_be_padded, problems

SEEDS = range(2)
TEXTS = {n: (Text(n),) for n in range(1, 41)}


def _images(case):
    return [image for row in case.rows for image in images_of(row)]


def _texts(case):
    return [s.tokens for row in case.rows for s in row if isinstance(s, Text)]


def _columns(case):
    return max(estimated_tokens(QWEN2_VL, row) for row in case.rows) + case.extra_padding


def _in_pieces(case):
    """Tell whether chunks and decoding leave something for the prefill, as every draw does."""
    return case.entry == "forward" and sum(case.chunks) + case.decode < _columns(case)


def _with_image(width, height, **others):
    return Case(rows=((Image(width, height),),), **others)


# Axis: what fails, the kind of the cases, and the least case that fails.
AXES: dict[str, tuple[Callable[[Case], bool], Kind, Case]] = {
    "nothing": (lambda _: True, "any", Case()),
    "rows": (lambda c: len(c.rows) >= 2, "any", Case(rows=(TEXTS[1], TEXTS[1]))),
    "three rows": (lambda c: len(c.rows) >= 3, "any", Case(rows=(TEXTS[1],) * 3)),
    "images": (lambda c: bool(_images(c)), "any", _with_image(1, 1)),
    "two images": (
        lambda c: len(_images(c)) >= 2,
        "any",
        Case(rows=((Image(1, 1), Image(1, 1)),)),
    ),
    "width": (lambda c: any(i.width >= 100 for i in _images(c)), "any", _with_image(100, 1)),
    "height": (lambda c: any(i.height >= 57 for i in _images(c)), "any", _with_image(1, 57)),
    "text": (lambda c: max(_texts(c), default=0) >= 38, "any", Case(rows=(TEXTS[38],))),
    "padding": (lambda c: c.extra_padding >= 2, "any", Case(extra_padding=2)),
    "side": (
        lambda c: c.side == "right" and may_be_padded(c.rows, c.extra_padding),
        "any",
        Case(extra_padding=1, side="right"),
    ),
    "mask": (lambda c: not c.attention_mask, "any", Case(attention_mask=False)),
    "implicit": (
        lambda c: c.entry == "forward-implicit",
        "any",
        Case(entry="forward-implicit"),
    ),
    "generate": (lambda c: c.entry == "generate", "any", Case(entry="generate", decode=1)),
    "embeds": (
        lambda c: c.entry == "generate-embeds",
        "any",
        Case(entry="generate-embeds", decode=1),
    ),
    "cache": (lambda c: c.cache == "static", "any", Case(cache="static")),
    "room": (lambda c: c.cache_room >= 3, "any", Case(cache="static", cache_room=3)),
    "chunks": (
        lambda c: bool(c.chunks) and _in_pieces(c),
        "any",
        Case(rows=(TEXTS[2],), chunks=(1,)),
    ),
    "two chunks": (
        lambda c: len(c.chunks) >= 2 and _in_pieces(c),
        "any",
        Case(rows=(TEXTS[3],), chunks=(1, 1)),
    ),
    "decode": (
        lambda c: c.decode >= 2 and _in_pieces(c),
        "any",
        Case(rows=(TEXTS[3],), decode=2),
    ),
    "own cache": (
        lambda c: c.cache == "own" and bool(c.chunks or c.decode) and _in_pieces(c),
        "cache_agreement",
        Case(rows=(TEXTS[2],), decode=1, cache="own"),
    ),
    "quantized cache": (
        lambda c: c.cache == "quantized" and bool(c.chunks or c.decode) and _in_pieces(c),
        "cache_agreement",
        Case(rows=(TEXTS[2],), decode=1, cache="quantized"),
    ),
    "crop": (
        lambda c: c.crop >= 2 and _in_pieces(c),
        "cache_agreement",
        Case(rows=(TEXTS[2],), decode=1, crop=2),
    ),
    "between": (
        lambda c: bool(c.between) and _in_pieces(c),
        "state_independence",
        Case(rows=(TEXTS[2],), decode=1, between=(Call(TEXTS[1]),)),
    ),
    "offset": (lambda c: c.offset >= 509, "any", Case(offset=509)),
    "far offset": (lambda c: c.offset >= 70_001, "any", Case(offset=70_001)),
    "gap": (
        lambda c: c.gap >= 3 and 0 < c.gap_at < _columns(c),
        "any",
        Case(rows=(TEXTS[2],), gap=3, gap_at=1),
    ),
    "gap_at": (
        lambda c: 2 <= c.gap_at < _columns(c),
        "any",
        Case(rows=(TEXTS[3],), gap=1, gap_at=2),
    ),
    "history": (lambda c: bool(c.history), "any", Case(history=(Call(TEXTS[1]),))),
    "history entry": (
        lambda c: any(call.entry == "generate" for call in c.history),
        "any",
        Case(history=(Call(TEXTS[1], "generate"),)),
    ),
    "gain": (lambda c: c.gain == 3.0, "any", Case(gain=3.0)),
    "mode": (
        lambda c: c.mode == "train",
        "attention_agreement",
        Case(rows=(TEXTS[2],), mode="train"),
    ),
    "trained": (
        lambda c: c.mode == "train" and max(_texts(c), default=0) >= 3,
        "attention_agreement",
        Case(rows=(TEXTS[3],), mode="train"),
    ),
    "seed": (lambda c: c.seed >= 2, "any", Case(seed=2)),
    "cache kind": (
        lambda c: bool(c.chunks or c.decode) and _in_pieces(c),
        "cache_agreement",
        Case(rows=(TEXTS[2],), decode=1),
    ),
    "padding kind": (lambda c: c.extra_padding >= 1, "padding_invariance", Case(extra_padding=1)),
    "batch kind": (lambda c: len(c.rows) >= 2, "batch_invariance", Case(rows=(TEXTS[1], TEXTS[1]))),
    "causality kind": (
        lambda c: max(_texts(c), default=0) >= 2,
        "causality",
        Case(rows=(TEXTS[2],)),
    ),
    "state kind": (
        lambda c: bool(c.history),
        "state_independence",
        Case(history=(Call(TEXTS[1]),)),
    ),
}


# Rarely drawn, which is not what these tests are about: given to what is drawn.
RARE: dict[str, dict[str, Any]] = {
    "far offset": {"offset": 100_000},
    "own cache": {"entry": "forward", "cache": "own", "cache_room": 0},
    "quantized cache": {"entry": "forward", "cache": "quantized", "cache_room": 0, "crop": 0},
    "crop": {"entry": "forward", "cache": "dynamic", "cache_room": 0, "crop": 3},
    "between": {"entry": "forward", "between": (Call((Image(56, 56), Text(2)), "generate"),)},
}
# What these need is a number of columns, and one image, some padding or some text are all ways to
# get them; two images may be in one row or in two. No change of one choice leads from the one to
# the other: simplification has to. Of earlier calls and of rows the first is not always left out.
TRADES = {"side", "mode", "trained", "chunks", "two chunks", "decode", "gap", "gap_at"}
TRADES |= {"two images", "history entry", "height"}


@pytest.mark.parametrize(
    ("axis", "start"), [(axis, n % 7) for n, axis in enumerate(AXES) if axis not in RARE]
)
def test_hypothesis_shrinks_to_the_axis_alone(axis, start):
    condition, kind, least = AXES[axis]
    found = find(
        cases(QWEN2_VL, kind),
        condition,
        settings=explicit(3000, shrink=True),
        random=random.Random(start),
    )
    if axis in TRADES:
        found, _ = _simplified(found, condition)
    assert found == least


@pytest.mark.parametrize("axis", AXES)
def test_simplification_alone_ends_at_the_axis_from_anywhere(axis, drawn):
    condition, kind, least = AXES[axis]
    given = [replace(case, **RARE[axis]) for case in drawn[kind]] if axis in RARE else drawn[kind]
    failing = [case for case in given if condition(case) and not problems(case)][:20]
    assert failing
    for case in failing:
        found, attempts = _simplified(case, condition)
        assert found == least
        # Each attempt costs a run of the model.
        assert attempts < 200


def _one_row(image):
    across, down = estimated_grid(QWEN2_VL, image)
    return down == 1 and across > 1


@pytest.mark.parametrize("start", SEEDS)
def test_a_failure_of_one_row_grids_keeps_its_image_and_nothing_else(start):
    """A condition from both sides: neither a large nor the smallest image fulfils it."""
    found = find(
        cases(QWEN2_VL),
        lambda case: any(_one_row(image) for image in _images(case)),
        settings=explicit(3000, shrink=True),
        random=random.Random(start),
    )
    (image,) = _images(found)
    assert _one_row(image)
    assert found == _with_image(image.width, image.height)


def test_invalid_cases_shrink_to_an_empty_image_beside_the_default_row():
    draw = cases(QWEN2_VL, "clean_rejection")
    found = find(draw, lambda _: True, settings=explicit(500, shrink=True), random=random.Random(1))
    assert found == Case(rows=((Image(0, 0), Text(1)),))


@pytest.mark.parametrize("count", [1, -1, 3])
def test_a_wrong_number_of_placeholders_shrinks_to_the_smallest_image(count):
    def fails(case):
        return case.extra_placeholders == count

    draw = cases(QWEN2_VL, "clean_rejection")
    found = find(draw, fails, settings=explicit(2000, shrink=True), random=random.Random(1))
    assert _simplified(found, fails)[0] == _with_image(1, 1, extra_placeholders=count)


def test_a_case_in_which_everything_matters_stays_as_it_is():
    case = Case(
        rows=((Image(150, 29), Text(3)), (Text(7),)),
        chunks=(4,),
        decode=2,
        cache="static",
        offset=9,
        history=(Call((Text(2),), "generate"),),
        seed=2,
    )
    assert _simplified(case, lambda other: other == case)[0] == case


@pytest.fixture(scope="module")
def drawn():
    kinds = {kind for _, kind, _ in AXES.values()}
    return {
        kind: single_draws(cases(QWEN2_VL, kind), 250 if kind == "any" else 30) for kind in kinds
    }


def _simplified(case, condition):
    """Take the first simplification that still fails, again and again: (case, attempts)."""
    attempts = 0
    smaller = True
    seen = set()
    while smaller:
        smaller = False
        for other in simpler(case, QWEN2_VL):
            attempts += other not in seen
            seen.add(other)
            if condition(other):
                case, smaller = other, True
                break
    return case, attempts
