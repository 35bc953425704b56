"""``ropefuzz repro`` on the command line: what it prints, and what it refuses."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fuzz import regression
from fuzz.cli import main
from fuzz.errors import UsageProblem
from fuzz.regression import Regression
from fuzz.repro.layout import WIDEST, broken
from fuzz.repro.script import script_of
from fuzz.repro.tests.findings import SOUND, made_up
from fuzz.tests.builders import finding
from fuzz.verdict import Signature
from strategies.case import Call, Case, Image, Text, Video

HERE = Path(__file__).resolve().parents[3] / "regressions"
STALE = HERE / "qwen2_vl" / "state_independence-b43762ee17.json"
IMAGES = Case(rows=((Image(56, 56), Text(2)),))


def died(saved: Regression, what: str, message: str = "") -> Regression:
    verdict: Any = "error" if what else "crash"
    signature = Signature("no_crash", verdict, what or "SIGSEGV", "cache.update", message)
    return replace(saved, signature=signature, message=message or saved.message)


@pytest.mark.parametrize(
    ("saved", "said"),
    [
        (made_up("visibility", Case()), "visibility of a leg is not supported in scripts"),
        (
            made_up("low_precision", Case(mode="train"), "odd in float16", attn="eager"),
            "comparing odd in float16 is not supported",
        ),
        (
            made_up("no_crash", Case(rows=((Video(1, 1, 1),),)), "finite", family="glm_ocr"),
            "videos of glm_ocr are not supported in scripts",
        ),
        (made_up("no_crash", Case(), plants=("vision-leak",)), "takes more lines than a script"),
        (
            made_up("cache_agreement", Case(), plants=("rotary-table-short",)),
            "in more than one call",
        ),
        (made_up("no_crash", Case(), model="/some/model"), "which scripts do not write out"),
        (made_up("version_agreement", Case()), "it compares two releases"),
        (made_up("cache_agreement", Case(), dtype="bfloat16"), "a target in bfloat16"),
        (
            made_up("rotary_reference", Case(), "text rotation", family="llama_yarn"),
            "the rotation of llama_yarn is not supported",
        ),
        (
            made_up("rotary_reference", IMAGES, "vision rotation", family="llava"),
            "vision rotation of llava is not supported",
        ),
        (made_up("no_crash", IMAGES, "finite", family="llava_next"), "images of llava_next"),
        (
            died(made_up("no_crash", Case()), "ContractError: rows", "the kernel does not check"),
            "flash-attn does not check what it is given here",
        ),
    ],
    ids=lambda x: x if isinstance(x, str) else "",
)
def test_what_no_script_can_show_is_refused_and_not_guessed(saved: Regression, said: str):
    with pytest.raises(UsageProblem, match=said):
        script_of(saved)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "no such file"),
        ("{", "not JSON, or cut off"),
        ('{"format_version": 99}', "format_version 99 is unknown"),
        ('{"format_version": 1, "family": "qwen2_vl"}', "is missing"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_line_and_exit_code_2(
    content: str | None, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    path = tmp_path / "x.json"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    assert main(["repro", str(path)]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith(f"ropefuzz: {path}: ")
    assert said in output.err
    assert output.err.count("\n") == 1


def test_a_finding_that_is_refused_is_named_with_its_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    data = json.loads(STALE.read_text(encoding="utf-8"))
    path = tmp_path / "x.json"
    path.write_text(json.dumps({**data, "property": "rotary_reference"}), encoding="utf-8")
    assert main(["repro", str(path)]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"ropefuzz: {path}: rotary_reference of after earlier calls")
    assert error.endswith(" is not supported in scripts\n")


def test_the_comment_says_what_the_smallest_case_the_claim_and_the_versions(
    capsys: pytest.CaptureFixture[str],
):
    assert main(["repro", str(STALE)]) == 0
    lines = capsys.readouterr().out.splitlines()
    top = " ".join(x.removeprefix("# ") for x in lines[: lines.index("import inspect, sys")])
    assert "silently gets the rope_deltas of an earlier image prompt" in top
    assert "Smallest case: 2 text tokens, no image;" in top
    assert "Claim: what ran before on the same model changes nothing." in top
    assert "Seen with transformers 5.23.0" in top
    assert "affects >=5.5" in top


def test_a_report_holds_all_that_upstream_asks_for(capsys: pytest.CaptureFixture[str]):
    assert main(["repro", str(STALE), "--issue"]) == 0
    text = capsys.readouterr().out
    titles = [x.removeprefix("### ") for x in text.splitlines() if x.startswith("### ")]
    assert titles == [
        "What is wrong",
        "Smallest case",
        "Expected",
        "Actual",
        "Releases",
        "Environment",
        "Script",
    ]
    assert "differ by 0.66" in text
    assert "transformers >=5.5." in text
    assert main(["repro", str(STALE)]) == 0
    assert f"```python\n{capsys.readouterr().out}```" in text


def test_where_a_wrong_value_begins_is_saved_and_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    said = (("begins at", "model.layers.0 in row 0"),)
    found = finding(said=said)
    path, _ = regression.save(found, tmp_path)
    assert regression.load(path).said == said
    known = json.loads(STALE.read_text(encoding="utf-8"))
    (tmp_path / "x.json").write_text(json.dumps({**known, "said": said}), encoding="utf-8")
    assert main(["repro", str(tmp_path / "x.json"), "--issue"]) == 0
    output = capsys.readouterr().out
    assert "### First divergence\n\n- begins at: `model.layers.0 in row 0`\n" in output


def test_lines_are_broken_after_commas_that_are_not_within_strings():
    line = f'    print("{"a, " * 20}", f"{"b, " * 20}")'
    assert broken(line) == [f'    print("{"a, " * 20}",', f'        f"{"b, " * 20}")']


def test_every_script_is_python_and_no_longer_than_its_lines_may_be():
    for name, saved in SOUND.items():
        text = script_of(saved)
        compile(text, name, "exec")
        assert max(map(len, text.splitlines())) <= WIDEST, name


def test_calls_before_are_made_in_their_order():
    case = Case(rows=((Text(1),),), history=(Call((Text(2),)), Call((Text(3),))))
    text = script_of(made_up("state_independence", case))
    first, second = text.index("**earlier_1,"), text.index("**earlier_2,")
    assert text.index("expected = ") < first < second < text.index("got = ")
