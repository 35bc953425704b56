"""Cases in English: short, complete, and only what differs from the default."""

from __future__ import annotations

import pytest
from hypothesis import given, seed, settings
from hypothesis.strategies import just

from strategies.case import Call, Case, Image, Text, from_json  # noqa: F401 - for eval
from strategies.cases import cases
from strategies.simpler import simpler
from strategies.tests.examples import QWEN2_VL, single_draws
from strategies.words import describe, describe_image

LONG, WIDE = (Text(3),), (Image(150, 29), Text(3))


@pytest.mark.parametrize(
    ("case", "words"),
    [
        (Case(), "one text token, no image"),
        (Case(rows=(LONG,)), "3 text tokens, no image"),
        (Case(rows=((Image(1, 1),),)), "image 1x1"),
        (
            Case(rows=((Text(0), Image(5, 6), Text(0), Image(7, 8)),)),
            "image 5x6, image 7x8",
        ),
        (
            Case(rows=(LONG, WIDE), chunks=(4, 5), decode=2, cache="static"),
            "2 rows, left-padded; row 1: 3 text tokens; row 2: image 150x29, 3 text tokens; "
            "prefilled in chunks of 4, 5 and the rest; last 2 tokens one by one; static cache",
        ),
        (
            Case(rows=(LONG, LONG), attention_mask=False),
            "2 rows alike; each row: 3 text tokens; no attention mask",
        ),
        (
            Case(rows=(LONG, LONG), side="right", extra_padding=2),
            "2 rows alike, right-padded; each row: 3 text tokens; "
            "2 columns of padding more than needed",
        ),
        (Case(extra_padding=1), "one text token, no image; left-padded by one column"),
        (Case(side="right"), "one text token, no image; padding side right, with nothing to pad"),
        (
            Case(rows=(LONG,), entry="forward-implicit", chunks=(1,), decode=1),
            "3 text tokens, no image; positions left to the model; "
            "prefilled in chunks of 1 and the rest; last token alone",
        ),
        (
            Case(rows=((Text(2),),), decode=1, cache="own", crop=2),
            "2 text tokens, no image; last token alone; "
            "2 tokens fed and cropped away before the last piece; cache of the model's own making",
        ),
        (
            Case(rows=((Text(2),),), decode=1, between=(Call((Text(3),)),)),
            "2 text tokens, no image; last token alone; "
            "before the last piece, a forward of: 3 text tokens",
        ),
        (
            Case(entry="generate", decode=1, cache="static", cache_room=1),
            "one text token, no image; generate, one new token; "
            "static cache with room for one more token",
        ),
        (
            Case(entry="generate", decode=1, turn_image=Image(2, 3)),
            "one text token, no image; generate, one new token; "
            "then a second turn of image 2x3, from its cache",
        ),
        (
            Case(entry="generate", decode=1, turn=2, turn_image=Image(2, 3)),
            "one text token, no image; generate, one new token; "
            "then a second turn of image 2x3, 2 text tokens, from its cache",
        ),
        (
            Case(entry="generate-embeds", decode=3),
            "one text token, no image; generate from embeddings, 3 new tokens",
        ),
        (
            Case(rows=(LONG,), entry="forward-implicit", mode="train"),
            "3 text tokens, no image; positions left to the model; "
            "trained on its own tokens as labels",
        ),
        (
            Case(rows=(LONG,), offset=100_000, gap=7, gap_at=2),
            "3 text tokens, no image; positions from 100000 on; positions jump by 7 at token 2",
        ),
        (
            Case(history=(Call((Image(28, 28), Text(1))),)),
            "one text token, no image; after an earlier forward of: image 28x28, one text token",
        ),
        (
            Case(history=(Call(LONG, "forward"), Call(LONG, "generate-embeds"))),
            "one text token, no image; "
            "after an earlier forward with explicit positions of: 3 text tokens; "
            "after an earlier generate from embeddings of: 3 text tokens",
        ),
        (
            Case(rows=((Image(1, 1),),), extra_placeholders=2),
            "image 1x1; 2 image placeholders too many",
        ),
        (
            Case(rows=((Image(0, 1),),), extra_placeholders=-1),
            "image 0x1; one image placeholder too few",
        ),
        (
            Case(gain=0.3, seed=2),
            "one text token, no image; weights at 0.3 times unit gain; seed 2",
        ),
        (Case(rows=((),)), "nothing, no image"),
    ],
)
def test_a_case_is_described(case, words):
    assert describe(case) == words


def test_a_description_is_one_line_and_repeats_itself():
    for case in single_draws(cases(QWEN2_VL), 60):
        assert describe(case) == describe(case)
        assert "\n" not in describe(case)


def test_different_cases_have_different_descriptions():
    """Or else nobody could tell a case from its simplifications."""
    for case in single_draws(cases(QWEN2_VL), 40):
        others = set(simpler(case, QWEN2_VL))
        described = {describe(other) for other in others}
        assert len(described) == len(others)
        assert describe(case) not in described


def test_hypothesis_prints_a_case_in_words_and_as_python_that_makes_it_again() -> None:
    @settings(database=None, print_blob=False, report_multiple_bugs=False)
    @seed(0)
    @given(just(Case(rows=(WIDE,), chunks=(2,))))
    def fails(case: Case) -> None:  # noqa: ARG001 - Hypothesis prints it
        raise AssertionError

    with pytest.raises(AssertionError) as raised:
        fails()
    shown = "\n".join(vars(raised.value)["__notes__"])
    assert "# image 150x29, 3 text tokens; prefilled in chunks of 2 and the rest" in shown
    again = eval(shown[shown.index("from_json(") : shown.rindex(",\n)")])  # noqa: S307 - our own
    assert again == Case(rows=(WIDE,), chunks=(2,))


@pytest.mark.parametrize(
    ("grid", "tokens", "words"),
    [
        ((1, 2, 10), 5, "image 150x29: grid 1x2x10, 5 tokens"),
        ((), 1, "image 150x29: one token"),
    ],
)
def test_what_an_image_becomes(grid: tuple[int, ...], tokens: int, words: str):
    assert describe_image(Image(150, 29), grid, tokens) == words
