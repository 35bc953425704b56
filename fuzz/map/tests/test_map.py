"""From a saved failure to a picture: what a user sees, and what is refused."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, cast

import pytest

from fuzz import regression
from fuzz.errors import CannotJudge, UsageProblem
from fuzz.isolation.supervisor import Supervisor
from fuzz.isolation.told import Ready
from fuzz.map.axes import AXES, axes_for, features
from fuzz.map.main import main
from fuzz.map.tests import test_map
from fuzz.tests.builders import SIGNATURE, finding
from fuzz.tests.stub_run import PASS
from fuzz.verdict import Outcome
from strategies.case import Case, Image, Text, images_of
from strategies.geometry import geometry_to_plain
from strategies.tests.examples import QWEN2_VL
from strategies.validity import problems

FAILS = Outcome("error", "index 0 passed a table of 0 rows", SIGNATURE)
IMAGE = Case(rows=((Image(30, 10),),))


class Stub:
    """A supervisor whose target makes grids of cells of 10 pixels."""

    def __init__(self, answer: Callable[[Case], Outcome]) -> None:
        self.answer = answer
        self.checked: list[Case] = []
        self.ready: Ready | None = None
        self.asked = 0

    def __enter__(self) -> Stub:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return

    def start(self) -> Ready:
        if self.ready is not None:
            raise RuntimeError("started already")
        sizes = {"geometry": geometry_to_plain(QWEN2_VL)}
        self.ready = Ready({"transformers": "5.0.0"}, sizes, 1, 0.1, 1)
        return self.ready

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        self.asked += 1
        return {"grids": [[-(-w // 10), -(-h // 10)] for w, h in request["sizes"]]}

    def check(self, _: str, case: Case) -> Outcome:
        assert problems(case) == ()
        self.checked.append(case)
        return self.answer(case)

    def check_fresh(self, _: str, case: Case, *__: object) -> Outcome:
        return self.answer(case)


def drawn(
    folder: Path, case: Case, answer: Callable[[Case], Outcome], **given: Any
) -> tuple[Stub, int]:
    path, _ = regression.save(finding(case=case), folder)
    stub = Stub(answer)
    options = {"file": path, "over": None, "range": [], "save": None, **given}
    code = main(argparse.Namespace(**options), (), lambda _: cast(Supervisor, stub))
    return stub, code


def swept_until(limit: int, answer: Callable[[Case], Outcome]) -> Callable[[Case], Outcome]:
    """Answer so often, and then be stopped by Ctrl-C."""
    asked = 0

    def stopped(case: Case) -> Outcome:
        nonlocal asked
        asked += 1
        if asked > limit:
            raise KeyboardInterrupt
        return answer(case)

    return stopped


def one_row(case: Case) -> Outcome:
    (image,) = (s for s in case.rows[0] if isinstance(s, Image))
    return FAILS if image.height <= 10 else PASS


def test_a_map_over_image_sizes_word_for_word(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    stub, code = drawn(tmp_path, IMAGE, one_row, range=["width=1:30", "height=1:20"])
    assert code == 0
    # The saved case, and three sizes of each of six grids.
    assert len(stub.checked) == 19
    said = capsys.readouterr().out.splitlines()
    shown = [line for line in said if not line.startswith("...")]
    assert shown == [
        "no_crash of qwen2_vl, transformers 5.0.0: image 30x10",
        "width 1 to 30, height 1 to 20: 18 runs for 600 points, since they make 6 grids, of which "
        "each was run thrice",
        "     width in pixels ->",
        "    1         11        21",
        "     merged columns, where they change (other side 20)",
        "    1         2         3",
        f" 1 |{'#' * 30}| 1",
        *[f"{y:>2} |{'#' * 30}|" for y in range(2, 11)],
        f"11 |{'.' * 30}| 2",
        *[f"{y:>2} |{'.' * 30}|" for y in range(12, 21)],
        "     (downwards: height in pixels; right: merged rows, other side 30)",
        "# fails  . passes",
        "fails exactly where merged rows <= 1",
    ]


@pytest.mark.parametrize("over", ["text,chunk", "chunk,text"])
def test_a_staircase_of_texts_and_chunks_is_a_rule_in_tokens(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], over: str
):
    def answer(case: Case) -> Outcome:
        tokens = sum(s.tokens for s in case.rows[0] if isinstance(s, Text))
        return FAILS if case.chunks and tokens >= case.chunks[0] + 2 else PASS

    _, code = drawn(tmp_path, Case(rows=((Text(3),),), chunks=(1,)), answer, over=over)
    assert code == 0
    rule = "fails exactly where text tokens >= first chunk + 2 and first chunk >= 1"
    assert rule in capsys.readouterr().out.splitlines()


def test_refused_other_and_meaningless_points_are_told_apart_and_are_in_no_rule(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    other = replace(SIGNATURE, what="ValueError")

    def answer(case: Case) -> Outcome:
        tokens = sum(s.tokens for s in case.rows[0] if isinstance(s, Text))
        if tokens == 3:
            return Outcome("reject", "refused: three")
        if tokens >= 7:
            return Outcome("error", "seven or more", other)
        return FAILS if tokens <= 2 else PASS

    _, code = drawn(tmp_path, Case(), answer, over="text,decode", range=["text=0:8"])
    assert code == 0
    said = capsys.readouterr().out
    assert " ##r...??|" in said
    assert "fails exactly where text tokens <= 2" in said
    assert "fails in another way, e.g. at text 7, decode 7: seven or more" in said
    assert "blank has no meaning" in said


def test_points_that_cannot_be_judged_are_told_and_give_3(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    def answer(case: Case) -> Outcome:
        tokens = sum(s.tokens for s in case.rows[0] if isinstance(s, Text))
        return Outcome("broken", "no answer") if tokens >= 6 else FAILS

    _, code = drawn(tmp_path, Case(), answer, over="text,decode", range=["text=0:8"])
    said = capsys.readouterr().out
    assert code == 3
    assert "could not be judged, e.g. at text " in said
    assert ": no answer" in said
    assert "fails everywhere in the map (of the points that were judged)" in said


def test_ctrl_c_keeps_what_is_known(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    answer = swept_until(10, one_row)
    _, code = drawn(tmp_path, IMAGE, answer, range=["width=1:30", "height=1:20"])
    said = capsys.readouterr().out
    assert code == 3
    assert "\nstopped: " in said
    assert "! not judged" in said
    assert "#" in said


def test_with_the_axes_exchanged_each_has_its_own_merged_scale(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    drawn(tmp_path, IMAGE, one_row, over="height,width", range=["width=1:30", "height=1:20"])
    said = capsys.readouterr().out
    assert "merged rows, where they change (other side 30)" in said
    assert "right: merged columns, other side 20" in said


@pytest.mark.parametrize("suffix", [".svg", ".png"])
def test_a_picture_is_drawn_and_the_same_map_gives_the_same_file(tmp_path: Path, suffix: str):
    files = [tmp_path / f"{n}{suffix}" for n in (1, 2)]
    for file in files:
        drawn(tmp_path, IMAGE, one_row, save=file, range=["width=1:40", "height=1:40"])
    assert files[0].read_bytes() == files[1].read_bytes()
    head = files[0].read_bytes()[:60]
    assert head.startswith(b"\x89PNG" if suffix == ".png" else b"<?xml")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"over": "width"}, "--over: expected two axes, e.g. width,height, got 'width'"),
        ({"over": ""}, "--over: expected two axes, e.g. width,height, got ''"),
        ({"over": "text,text"}, "--over: expected two axes"),
        ({"over": "text,hight"}, "unknown axis 'hight'; did you mean 'height'?"),
        ({"range": ["width=5"]}, "--range: expected AXIS=LOW:HIGH, got 'width=5'"),
        ({"range": ["text=1:5"]}, "unknown axis of this map 'text'"),
        ({"range": ["width=9:5"]}, "--range width: expected 1 <= LOW <= HIGH, got 9 and 5"),
        ({"range": ["width=1:4000", "height=1:4000"]}, "expected at most 250000 points"),
        ({"save": Path("map.pdf")}, "expected a report's name to end in .svg, .png"),
    ],
)
def test_a_mistake_is_told_in_a_line(tmp_path: Path, given: dict[str, Any], said: str):
    with pytest.raises(UsageProblem) as raised:
        drawn(tmp_path, IMAGE, one_row, **given)
    assert said in str(raised.value)


def test_over_image_sizes_a_case_without_an_image_gets_one_before_its_text(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """The original bug shrinks to a text, and is told of by image sizes all the same."""

    def answer(case: Case) -> Outcome:
        return one_row(case) if images_of(case.rows[0]) else FAILS

    stub, code = drawn(tmp_path, Case(rows=((Text(2),),)), answer, over="width,height")
    said = capsys.readouterr().out
    assert code == 0
    assert ": 2 text tokens, no image, with an image put before it\n" in said
    assert "fails exactly where merged rows <= 1\n" in said
    assert stub.checked[0] == Case(rows=((Text(2),),))
    assert all(isinstance(c.rows[0][0], Image) for c in stub.checked[1:])


def test_a_target_without_images_has_no_sizes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(test_map, "QWEN2_VL", replace(QWEN2_VL, images=False))
    with pytest.raises(UsageProblem, match="--over width,height: qwen2_vl takes no images"):
        drawn(tmp_path, Case(), lambda _: FAILS, over="width,height")


def test_a_failure_that_does_not_happen_has_no_map(tmp_path: Path):
    with pytest.raises(CannotJudge, match="does not fail in this way here"):
        drawn(tmp_path, IMAGE, lambda _: PASS)


def test_the_axes_are_those_that_say_most():
    names = {
        IMAGE: "width,height",
        Case(): "text,chunk",
        Case(rows=((Text(3),),), decode=1): "text,decode",
        Case(rows=((Text(3),),), extra_padding=1): "text,padding",
    }
    for case, expected in names.items():
        assert ",".join(a.name for a in axes_for(case)) == expected


@pytest.mark.parametrize("name", AXES)
def test_each_axis_sets_what_it_is_named_for_and_nothing_else(name: str):
    axis = AXES[name]
    case = Case(rows=((Text(2), Image(30, 10), Text(1)),), chunks=(4, 3))
    changed = axis.put(case, 7 if axis.high >= 7 else 3)
    expected = {
        "width": replace(case, rows=((Text(2), Image(7, 10), Text(1)),)),
        "height": replace(case, rows=((Text(2), Image(30, 7), Text(1)),)),
        "text": replace(case, rows=((Text(2), Image(30, 10), Text(7)),)),
        "chunk": replace(case, chunks=(7, 3)),
        "decode": replace(case, decode=7),
        "padding": replace(case, extra_padding=7),
        "offset": replace(case, offset=7),
        "rows": replace(case, rows=case.rows * 3),
    }
    assert changed == expected[name]


def test_a_rule_can_speak_of_where_a_chunk_ends():
    """Two text tokens, two markers and six cells: an image that ends with the tenth token."""
    case = Case(rows=((Text(2), Image(30, 20), Text(4)),), chunks=(10,))
    assert features(case, (3, 2), 2)["first chunk - tokens up to the image's end"] == 0
