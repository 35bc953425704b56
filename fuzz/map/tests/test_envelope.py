"""What was verified of a target is told, drawn, and written down so that an input check can ask."""

from __future__ import annotations

import argparse
import ast
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from fuzz import ledger
from fuzz.errors import UsageProblem
from fuzz.isolation.supervisor import Supervisor
from fuzz.map import lookup
from fuzz.map.envelope import main
from fuzz.map.probes import uses, was_refused
from fuzz.map.tests.test_map import FAILS, Stub, swept_until
from fuzz.target import Target
from fuzz.tests.stub_run import PASS, entry
from fuzz.verdict import Outcome
from strategies.case import Case, Image, images_of
from strategies.tests.examples import QWEN2_VL
from strategies.validity import problems


def made(
    folder: Path, answer: Callable[[Case], Outcome], **given: Any
) -> tuple[int, dict[str, Any], Stub]:
    stub = Stub(answer)
    file = folder / "e.json"
    options = {"to": 40, "json": file, "save": None, **given}
    code = main(argparse.Namespace(**options), Target(), lambda _: cast(Supervisor, stub))
    return code, lookup.load(file), stub


def answer(case: Case) -> Outcome:
    """One row of cells fails; two columns are refused; a static cache fails, too."""
    images = images_of(case.rows[0])
    if case.cache == "static":
        return FAILS
    if len(case.rows) == 1 and images and images[0].height <= 10:
        return FAILS
    if len(case.rows) == 1 and images and 10 < images[0].width <= 20:
        return Outcome("reject", "refused: two columns")
    return PASS


def test_it_says_of_every_size_and_prompt_what_was_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    code, envelope, stub = made(tmp_path, answer)
    assert code == 0
    for x in range(1, 41):
        for y in range(1, 41):
            expected = "fails" if y <= 10 else "refused" if 10 < x <= 20 else "verified"
            assert lookup.verdict(envelope, "images", x, y) == expected
    assert lookup.verdict(envelope, "images", 41, 20) == "unknown"
    assert lookup.verdict(envelope, "images", 5, 41) == "unknown"
    assert lookup.verdict(envelope, "prompts", 5, 2) == "verified"
    assert lookup.verdict(envelope, "videos", 5, 2) == "unknown"
    assert {(c["cache"], c["verdict"]) for c in envelope["caches"]} == {
        ("dynamic", "verified"),
        ("static", "fails"),
    }
    assert list(envelope["failures"]) == [FAILS.message]
    assert envelope["versions"] == {"transformers": "5.0.0"}
    assert len(stub.checked) < 700  # a tenth of 1,600 sizes and 216 prompts by four checks each
    said = capsys.readouterr().out
    assert "images, each by no_crash, rotary_reference, cache_agreement" in said
    assert f"fails: {FAILS.message} [image 1x1, 2 text tokens]" in said


def test_a_size_that_has_to_be_refused_is_refused_and_does_not_fail(tmp_path: Path):
    """``no_crash`` takes any refusal for an error; a valid size that is refused stays one."""

    def refuses(case: Case) -> Outcome:
        sizes = [(i.width, i.height) for row in case.rows for i in images_of(row)]
        if any(size in ((1, 201), (7, 7)) for size in sizes):
            return replace(FAILS, message="refused by smart_resize: absolute aspect ratio")
        return PASS

    _, envelope, _ = made(tmp_path, refuses, to=201)
    assert lookup.verdict(envelope, "images", 1, 201) == "refused"
    assert lookup.verdict(envelope, "images", 1, 200) == "verified"
    assert was_refused(refuses(Case(rows=((Image(7, 7),),))), Case(), QWEN2_VL) is False


def test_a_known_failure_counts_and_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    assert FAILS.signature is not None
    monkeypatch.setattr(ledger, "shipped", lambda: (entry(signatures=(FAILS.signature,)),))
    _, envelope, _ = made(tmp_path, answer)
    assert lookup.verdict(envelope, "images", 5, 5) == "fails"
    assert list(envelope["failures"]) == ["known known-images: r"]
    assert "fails: known known-images: r" in capsys.readouterr().out


def test_what_could_not_be_judged_is_unknown_and_gives_3(tmp_path: Path):
    code, envelope, _ = made(
        tmp_path, lambda c: Outcome("broken", "no answer") if c.extra_padding > 6 else PASS
    )
    assert code == 3
    assert lookup.verdict(envelope, "prompts", 3, 7) == "unknown"
    assert lookup.verdict(envelope, "prompts", 3, 0) == "verified"


def test_the_file_reads_alike_in_a_diff_and_refuses_another_version(tmp_path: Path):
    made(tmp_path, answer)
    path = tmp_path / "e.json"
    data = json.loads(path.read_text())
    assert list(data) == sorted(data)
    path.write_text(json.dumps({**data, "format_version": 9}))
    with pytest.raises(ValueError, match="format_version 9 is unknown"):
        lookup.load(path)
    path.write_text("[]")
    with pytest.raises(ValueError, match="no envelope"):
        lookup.load(path)


def test_a_report_in_another_format_is_refused_before_anything_runs(tmp_path: Path):
    with pytest.raises(UsageProblem, match=r"expected a report's name to end in \.json"):
        made(tmp_path, answer, json=tmp_path / "e.yaml")


def test_more_sizes_than_anyone_looks_at_are_refused_before_anything_runs(tmp_path: Path):
    with pytest.raises(UsageProblem, match=r"^--to: expected at most 500 pixels, got 501$"):
        made(tmp_path, answer, to=501)


def test_the_module_that_reads_envelopes_needs_nothing_of_ropefuzz():
    assert lookup.__file__ is not None
    tree = ast.parse(Path(lookup.__file__).read_text())
    names = {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    assert names == {"__future__", "pathlib", "typing"}


@pytest.mark.parametrize("images", [True, False])
def test_every_entry_and_cache_is_among_the_uses_and_each_is_well_formed(images: bool):
    found = uses(images)
    assert all(problems(use.case) == () for use in found)
    assert {(u.entry, u.cache) for u in found} == {
        (e, c) for e in ("forward", "forward-implicit", "generate") for c in ("dynamic", "static")
    }
    assert len({u.case for u in found}) == len(found)


def test_ctrl_c_keeps_what_is_known_and_the_rest_is_unknown(tmp_path: Path):
    code, envelope, _ = made(tmp_path, swept_until(30, answer))
    assert code == 3
    assert envelope["caches"] == []
    verdicts = {v for row in envelope["images"]["rows"].values() for _, _, v in row}
    assert "unknown" in verdicts
    assert len(verdicts) > 1
    assert "prompts" not in envelope


def test_an_envelope_names_what_was_planted(tmp_path: Path):
    _, envelope, _ = made(tmp_path, answer)
    assert envelope["plants"] == []
