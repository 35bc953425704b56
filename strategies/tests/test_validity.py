"""What makes a case ill-formed, and what a target has to refuse."""

from __future__ import annotations

from dataclasses import replace

import pytest

from strategies.case import Call, Case, Image, Text
from strategies.tests.examples import QWEN2_VL, TEXT_ONLY
from strategies.validity import may_be_padded, problems, refusals

ONE, TWO = (Text(1),), (Text(2),)
SEEN = (Image(28, 28), Text(1))


@pytest.mark.parametrize(
    "case",
    [
        Case(),
        Case(rows=(TWO, ONE), side="right", chunks=(1,), decode=1),
        Case(rows=(SEEN,), entry="generate", decode=1),
        Case(rows=(ONE, TWO), entry="generate-embeds", decode=3),
        Case(rows=(TWO, TWO), entry="forward-implicit", side="right", decode=1),
        Case(rows=(TWO,), attention_mask=False, cache="static", cache_room=1),
        Case(offset=7, gap=1),
        Case(rows=((Image(5, 5), Text(0)),), extra_placeholders=-1),
        Case(history=(Call(SEEN, "generate"), Call(ONE, "generate-embeds"))),
        Case(rows=(TWO, ONE), mode="train", side="right", offset=7, gap=1, gap_at=1),
        Case(rows=((Image(28, 28),),), mode="train", entry="forward-implicit"),
    ],
)
def test_what_has_a_meaning_is_well_formed(case):
    assert problems(case) == ()


@pytest.mark.parametrize(
    ("case", "named"),
    [
        (Case(rows=()), "no row"),
        (Case(rows=((),)), "rows: a row without a token"),
        (Case(rows=(ONE, (Text(0),))), "rows: a row without a token"),
        (Case(history=(Call(()),)), "history: a row without a token"),
        (Case(entry="generate"), "decode of 1"),
        (Case(entry="generate", decode=1, side="right"), "side left"),
        (Case(entry="generate-embeds", decode=1, chunks=(1,)), "no chunks"),
        (Case(entry="generate", decode=1, offset=1), "no offset"),
        (Case(entry="forward-implicit", gap=1), "no offset"),
        (Case(rows=(SEEN,), entry="generate-embeds", decode=1), "rows: generate-embeds takes no"),
        (Case(history=(Call(SEEN, "generate-embeds"),)), "history: generate-embeds takes no"),
        (Case(entry="forward-implicit", side="right", extra_padding=1, decode=1), "fed on"),
        (Case(rows=(ONE, TWO), entry="forward-implicit", side="right", chunks=(1,)), "fed on"),
        (Case(rows=(ONE, TWO), attention_mask=False), "always has an attention mask"),
        (Case(extra_padding=1, attention_mask=False), "always has an attention mask"),
        (Case(cache_room=1), "without a static cache"),
        (Case(crop=1), "crop without a forward that is fed in pieces"),
        (Case(rows=(TWO,), decode=1, cache="static", crop=1), "a static cache is not cropped"),
        (Case(between=(Call(TWO),)), "between without a piece or a turn"),
        (
            Case(rows=(TWO,), entry="forward-implicit", decode=1, between=(Call(TWO),)),
            "between needs explicit positions",
        ),
        (Case(entry="generate", decode=1, cache="own"), "generate takes no own cache"),
        (Case(rows=(ONE, ONE), entry="generate", decode=1, how="assisted"), "for one row"),
        (Case(turn_image=Image(1, 1)), "no generate that is told how, or has a second turn"),
        (Case(gap_at=1), "gap_at without gap"),
        (Case(rows=(TWO,), mode="train", entry="generate", decode=1), "not trained through"),
        (Case(rows=(TWO,), mode="train", decode=1), "training is one forward"),
        (Case(rows=(TWO,), mode="train", chunks=(1,)), "training is one forward"),
        (Case(rows=(TWO,), mode="train", cache="static"), "training is one forward"),
        (Case(rows=(TWO,), mode="train", history=(Call(ONE),)), "training is one forward"),
        (Case(rows=(ONE, ONE), mode="train"), "a token to predict"),
        (Case(extra_placeholders=1), "without an image"),
        (Case(extra_placeholders=1, history=(Call(SEEN),)), "without an image"),
    ],
)
def test_what_has_no_meaning_is_ill_formed_for_one_reason(case, named):
    (problem,) = problems(case)
    assert named in problem


@pytest.mark.parametrize(
    ("rows", "extra", "padded"),
    [
        ((ONE,), 0, False),
        ((ONE,), 1, True),
        ((ONE, ONE), 0, False),
        ((ONE, TWO), 0, True),
        ((SEEN, (Text(1), Image(28, 28))), 0, False),
        ((SEEN, (Image(29, 28), Text(1))), 0, True),
        ((TWO, (Text(1), Text(0), Text(1))), 0, False),
    ],
)
def test_rows_need_no_padding_if_they_hold_the_same(rows, extra, padded):
    assert may_be_padded(rows, extra) is padded


@pytest.mark.parametrize(
    ("case", "named"),
    [
        (Case(rows=((Image(201, 1),),)), "image 201x1"),
        (Case(rows=((Image(0, 1),),)), "image 0x1"),
        (Case(history=(Call((Image(1, 0),)),)), "image 1x0"),
        (Case(entry="generate", decode=1, turn_image=Image(0, 1)), "image 0x1"),
        (Case(rows=(SEEN,), extra_placeholders=2), r"+2 image placeholders"),
    ],
)
def test_what_the_target_has_to_refuse_is_named(case, named):
    (reason,) = refusals(case, QWEN2_VL)
    assert named in reason


def test_a_case_with_accepted_images_has_to_run():
    assert refusals(Case(rows=((Image(200, 1),), SEEN)), QWEN2_VL) == ()


def test_a_target_without_images_has_to_refuse_any():
    assert refusals(Case(rows=(SEEN,)), TEXT_ONLY) == ("the target takes no images",)


def test_a_target_refuses_later_images_and_guesses_that_it_cannot_take():
    shown = Case(entry="generate", decode=1, turn_image=Image(1, 1))
    assert refusals(shown, QWEN2_VL) == ()
    guessed = Case(entry="generate", decode=1, how="assisted")
    assert refusals(guessed, QWEN2_VL) == ()
    (reason,) = refusals(guessed, replace(QWEN2_VL, lacks=("crop",)))
    assert reason == "the target's cache cannot be cropped, as wrong guesses are"
    (reason,) = refusals(shown, replace(QWEN2_VL, lacks=("turn_image",)))
    assert reason == "the target takes no image after its first answer"


def test_a_target_refuses_the_cache_and_the_cropping_that_it_lacks():
    lacking = replace(QWEN2_VL, lacks=("crop", "quantized"))
    cropped = Case(rows=(TWO,), decode=1, crop=1)
    assert refusals(cropped, lacking) == ("the target's cache cannot be cropped",)
    kept = replace(cropped, crop=0, cache="quantized")
    assert refusals(kept, lacking) == ("the target has no quantized cache",)
    assert refusals(cropped, QWEN2_VL) == refusals(kept, QWEN2_VL) == ()
