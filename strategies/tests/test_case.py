"""A case as plain data: it comes back equal, and bad data is refused by the field's name."""

from __future__ import annotations

import json

import pytest

from strategies.case import DEFAULT, Call, Case, Image, Text, Video, from_json, to_json
from strategies.cases import cases
from strategies.reading import CaseError
from strategies.tests.examples import QWEN2_VL, single_draws

ROW = '"rows":[[{"text":1}]]'


@pytest.mark.parametrize("kind", ["any", "clean_rejection"])
def test_a_case_survives_the_round_trip_through_json(kind):
    for case in single_draws(cases(QWEN2_VL, kind), 100):
        text = to_json(case)
        assert from_json(text) == case
        assert to_json(from_json(text)) == text
        assert "\n" not in text


def test_the_default_case_names_only_its_rows():
    assert to_json(DEFAULT) == '{"rows":[[{"text":1}]]}'


def test_every_field_survives_the_round_trip():
    case = Case(
        rows=((Text(0), Image(0, 5)), (Image(1, 1), Text(3))),
        side="right",
        extra_padding=1,
        entry="forward-implicit",
        attention_mask=False,
        cache="static",
        cache_room=2,
        chunks=(3, 1),
        decode=1,
        crop=2,
        between=(Call((Text(1),), "generate"),),
        offset=100_000,
        gap=7,
        gap_at=2,
        history=(Call((Text(2),), "generate-embeds"), Call((Image(2, 3),))),
        extra_placeholders=-1,
        gain=0.3,
        seed=3,
    )
    assert from_json(to_json(case)) == case
    shown = Case(entry="generate", decode=1, turn=2, turn_image=Image(3, 4))
    assert from_json(to_json(shown)) == shown
    trained = Case(rows=((Text(3),),), mode="train")
    assert from_json(to_json(trained)) == trained


def test_a_video_names_its_pace_where_it_is_not_a_second() -> None:
    case = Case(rows=((Video(4, 56, 28), Video(1, 2, 3, 0.5)),))
    text = to_json(case)
    assert text == '{"rows":[[{"video":[4,56,28]},{"seconds":0.5,"video":[1,2,3]}]]}'
    assert from_json(text) == case


def test_a_case_saved_before_there_was_a_mode_is_not_trained_on():
    """And files of such cases stay as they are: what is at its default is not written."""
    assert from_json('{"rows":[[{"text":3}]]}') == Case(rows=((Text(3),),), mode="eval")
    assert "mode" not in to_json(Case(rows=((Text(3),),), mode="eval"))


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "case: expected an object"),
        ("{}", "lacks the field 'rows'"),
        (f'{{{ROW},"colour":1}}', "no field 'colour'"),
        ('{"rows":[]}', "rows: expected at least one row"),
        ('{"rows":{}}', "rows: expected a list"),
        ('{"rows":[[{"video":[0,1,1]}]]}', r"video: expected 1 or more"),
        ('{"rows":[[{"video":[1,1,1],"seconds":0.3}]]}', "expected a multiple of 1/64 second"),
        ('{"rows":[7]}', r"rows\[0\]: expected a list"),
        ('{"rows":[[{"text":1}],[{"text":-1}]]}', r"rows\[1\]\[0\]\.text: expected 0 or more"),
        ('{"rows":[[{"text":1.5}]]}', r"rows\[0\]\[0\]\.text: expected a whole number"),
        ('{"rows":[[{"text":true}]]}', r"rows\[0\]\[0\]\.text: expected a whole number"),
        ('{"rows":[[{"text":1,"image":[1,1]}]]}', r"rows\[0\]\[0\]: expected"),
        ('{"rows":[[{"image":[1]}]]}', r"rows\[0\]\[0\]: expected"),
        ('{"rows":[[{"image":[1,"x"]}]]}', r"rows\[0\]\[0\]\.image: expected a whole number"),
        (f'{{{ROW},"side":"up"}}', "side: expected one of left, right, got 'up'"),
        (f'{{{ROW},"side":["left"]}}', "side: expected one of"),
        (f'{{{ROW},"entry":"call"}}', "entry: expected one of"),
        (f'{{{ROW},"mode":"fit"}}', "mode: expected one of eval, train, got 'fit'"),
        (f'{{{ROW},"cache":null}}', "cache: expected one of"),
        (f'{{{ROW},"attention_mask":0}}', "attention_mask: expected true or false"),
        (f'{{{ROW},"extra_padding":-1}}', "extra_padding: expected 0 or more"),
        (f'{{{ROW},"cache_room":"1"}}', "cache_room: expected a whole number"),
        (f'{{{ROW},"chunks":[2,0]}}', r"chunks\[1\]: expected 1 or more"),
        (f'{{{ROW},"chunks":3}}', "chunks: expected a list"),
        (f'{{{ROW},"decode":-1}}', "decode: expected 0 or more"),
        (f'{{{ROW},"turn_image":[1]}}', r"turn_image: expected \[width, height\], got \[1\]"),
        (f'{{{ROW},"turn_image":[1,-1]}}', "turn_image: expected 0 or more"),
        (f'{{{ROW},"turn_image":null}}', "turn_image: expected a list"),
        (f'{{{ROW},"offset":-1}}', "offset: expected 0 or more"),
        (f'{{{ROW},"gap":null}}', "gap: expected a whole number"),
        (f'{{{ROW},"gap_at":[]}}', "gap_at: expected a whole number"),
        (f'{{{ROW},"history":[{{"row":[]}}]}}', r"history\[0\]: expected the fields"),
        (f'{{{ROW},"history":[{{"row":[],"entry":"x"}}]}}', r"history\[0\]\.entry: expected one"),
        (f'{{{ROW},"history":[{{"row":7,"entry":"forward"}}]}}', r"history\[0\]\.row: expected a"),
        (f'{{{ROW},"extra_placeholders":0.5}}', "extra_placeholders: expected a whole number"),
        (f'{{{ROW},"gain":0}}', "gain: expected a finite number above 0"),
        (f'{{{ROW},"gain":NaN}}', "gain: expected a finite number above 0"),
        (f'{{{ROW},"gain":1e999}}', "gain: expected a finite number above 0"),
        (f'{{{ROW},"gain":1{"0" * 400}}}', "gain: expected a finite number above 0"),
        (f'{{{ROW},"seed":"{"x" * 10_000}"}}', "seed: expected a whole number"),
    ],
)
def test_bad_data_is_refused_in_a_short_line_that_names_the_field(text, named):
    with pytest.raises(CaseError, match=named) as caught:
        from_json(text)
    assert len(str(caught.value)) < 200
    assert "\n" not in str(caught.value)


def test_no_field_is_read_unchecked():
    """Whatever a field holds, reading the case either works or names that field."""
    wrong: list[object] = [None, -1, 0.5, "x", [], {}, [[]], [{}]]
    for name in Case.__dataclass_fields__:
        for value in wrong:
            complaint = _complaint(json.dumps({"rows": [[{"text": 1}]], name: value}))
            assert complaint.startswith(name) or complaint == ""


def _complaint(text):
    try:
        from_json(text)
    except CaseError as error:
        return str(error)
    return ""
