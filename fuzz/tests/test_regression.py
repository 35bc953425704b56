"""A saved finding is small, whole or absent, and says what is wrong where it cannot be used."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fuzz.errors import UsageProblem
from fuzz.regression import load, regressions_in, save, save_unjudged
from fuzz.target import Target, target_to_plain
from fuzz.tests.builders import FIRST, SIGNATURE, finding
from strategies.case import Case, Text, to_plain
from strategies.reading import CaseError


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    return save(finding(), tmp_path)[0]


def changed(path: Path, **fields: Any) -> Path:
    data = json.loads(path.read_text())
    data.update(fields)
    path.write_text(json.dumps(data))
    return path


def problem_of(path: Path) -> str:
    with pytest.raises(UsageProblem) as caught:
        load(path)
    text = str(caught.value)
    assert "\n" not in text
    assert text.startswith(f"{path}: ")
    return text.removeprefix(f"{path}: ")


def test_what_is_saved_can_be_loaded(tmp_path: Path):
    target = Target(
        attn="eager", dtype="float32", model="/m", weights="real", plants=("abort", "exit")
    )
    one = finding(case=FIRST, target=target, property="causality")
    path, written = save(one, tmp_path)
    assert written
    back = load(path)
    assert back.path == path
    assert (back.property, back.case, back.signature) == ("causality", FIRST, SIGNATURE)
    assert (back.message, back.target, back.versions) == (one.message, target, one.versions)


def test_it_is_named_after_its_family_property_and_signature(tmp_path: Path):
    path, _ = save(finding(), tmp_path)
    name = f"no_crash-{SIGNATURE.fingerprint}.json"
    assert path == tmp_path / "qwen2_vl" / name


def test_a_minimal_case_takes_less_than_a_kilobyte(saved: Path):
    assert saved.stat().st_size < 1024


def test_it_is_sorted_and_one_line_a_field(saved: Path):
    lines = saved.read_text().splitlines()
    assert (lines[0], lines[-1]) == ("{", "}")
    names = [json.loads("{" + line.strip().rstrip(",") + "}") for line in lines[1:-1]]
    keys = [next(iter(n)) for n in names]
    assert all(len(n) == 1 for n in names)
    assert keys == sorted(keys)
    assert saved.read_text().endswith("}\n")


def test_it_says_the_case_in_words(saved: Path):
    assert json.loads(saved.read_text())["words"] == "one text token, no image"


def test_it_can_be_read_by_others(saved: Path):
    assert saved.stat().st_mode & 0o777 == 0o644


def test_a_smaller_case_that_is_saved_already_is_kept(saved: Path, tmp_path: Path):
    before = saved.read_text()
    assert save(finding(case=FIRST), tmp_path) == (saved, False)
    assert saved.read_text() == before


def test_a_larger_case_that_is_saved_already_is_replaced(tmp_path: Path):
    path, _ = save(finding(case=FIRST), tmp_path)
    assert save(finding(case=Case()), tmp_path) == (path, True)
    assert load(path).case == Case()


def test_an_unreadable_file_in_its_place_is_replaced(saved: Path, tmp_path: Path):
    saved.write_text("{")
    assert save(finding(), tmp_path) == (saved, True)
    assert load(saved).case == Case()


def test_a_flaky_finding_is_kept_apart_from_what_is_replayed(saved: Path, tmp_path: Path):
    path, _ = save(finding(failed=1), tmp_path)
    assert path == saved.parent / "flaky" / saved.name
    assert regressions_in(tmp_path) == [saved]


def test_the_ledger_and_hidden_files_are_not_replayed(saved: Path, tmp_path: Path):
    (tmp_path / "ledger.json").write_text("{}")
    (saved.parent / ".hidden.json").write_text("{}")
    assert regressions_in(tmp_path) == [saved]


def test_a_folder_at_any_depth_gives_its_files(saved: Path, tmp_path: Path):
    assert regressions_in(tmp_path) == [saved]
    assert regressions_in(saved.parent) == [saved]


def test_a_missing_file_is_said_to_be_missing(tmp_path: Path):
    assert problem_of(tmp_path / "x.json") == "no such file"


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.95])
def test_a_file_that_is_cut_off_is_said_to_be(saved: Path, share: float):
    text = saved.read_text()
    saved.write_text(text[: int(len(text) * share)])
    assert "not JSON, or cut off" in problem_of(saved)


def test_bytes_that_are_no_text_cannot_be_read(saved: Path):
    saved.write_bytes(b"\xff\xfe\x00")
    assert "cannot be read" in problem_of(saved)


@pytest.mark.parametrize("text", ["[]", "3", "null", "{}"])
def test_json_that_is_no_regression_is_said_to_be_none(saved: Path, text: str):
    saved.write_text(text)
    assert "not a regression" in problem_of(saved)


@pytest.mark.parametrize("version", [2, 0, "1", None])
def test_another_format_version_is_refused(saved: Path, version: object):
    message = problem_of(changed(saved, format_version=version))
    assert f"format_version {version!r} is unknown" in message
    assert "reads 1" in message


@pytest.mark.parametrize(
    "field",
    ["attn", "case", "device", "dtype", "family", "message", "property", "signature", "versions"],
)
def test_a_missing_field_is_named(saved: Path, field: str):
    data = json.loads(saved.read_text())
    del data[field]
    saved.write_text(json.dumps(data))
    assert problem_of(saved) == f"not a regression: the field '{field}' is missing"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"property": "no_crush"}, "'no_crush'"),
        ({"family": "gpt2"}, "'gpt2'"),
        ({"attn": "fast"}, "'fast'"),
        ({"dtype": ["exact"]}, "['exact']"),
        ({"case": {}}, "case lacks the field 'rows'"),
        ({"case": {"rows": [[{"text": -1}]]}}, "rows[0][0].text"),
        ({"case": {"rows": [[{"text": 1}]], "speed": 1}}, "case has no field 'speed'"),
        ({"case": []}, "case: expected an object"),
        ({"signature": {"property": "no_crash"}}, "Signature"),
        ({"signature": 3}, "not a regression"),
        ({"versions": 3}, "not a regression"),
        ({"plants": 3}, "not a regression"),
    ],
)
def test_a_field_of_the_wrong_kind_is_named(saved: Path, fields: dict[str, Any], said: str):
    message = problem_of(changed(saved, **fields))
    assert message.startswith("not a regression: ")
    assert said in message


@pytest.mark.parametrize("existing", [False, True])
def test_a_write_that_fails_leaves_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, existing: bool
):
    before = {}
    if existing:
        path, _ = save(finding(case=FIRST), tmp_path)
        before = {path: path.read_text()}

    def replace(_: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device", str(target))

    monkeypatch.setattr(Path, "replace", replace)
    with pytest.raises(OSError, match="No space left"):
        save(finding(), tmp_path)
    assert {p: p.read_text() for p in tmp_path.rglob("*") if p.is_file()} == before


def test_the_case_of_a_run_that_died_can_be_loaded_and_replayed(tmp_path: Path):
    target = Target(plants=("abort",), attn="eager")
    path = tmp_path / "died-12.json"
    save_unjudged("causality", to_plain(FIRST), target_to_plain(target), path)
    back = load(path)
    assert (back.property, back.case, back.target) == ("causality", FIRST, target)
    assert "never judged" in back.message


def test_what_a_dead_run_left_must_be_a_case(tmp_path: Path):
    path = tmp_path / "died-12.json"
    with pytest.raises(CaseError):
        save_unjudged("causality", {"rows": []}, target_to_plain(Target()), path)
    assert not path.exists()


def test_a_case_of_many_rows_is_saved_too(tmp_path: Path):
    large = Case(rows=tuple((Text(n),) for n in range(1, 200)))
    assert load(save(finding(case=large), tmp_path)[0]).case == large


def test_a_smaller_case_that_no_longer_fails_does_not_hide_a_new_one(tmp_path: Path):
    small, large = finding(case=Case()), finding(case=FIRST)
    first, _ = save(small, tmp_path)
    path, written = save(large, tmp_path, still_fails=lambda _: False)
    assert written
    assert path != first
    assert path.name.startswith(first.stem)
    assert (load(first).case, load(path).case) == (Case(), FIRST)
    # While the small one does fail, it stands for both.
    assert save(large, tmp_path, still_fails=lambda _: True) == (first, False)


def test_a_finding_of_another_target_is_saved_beside(tmp_path: Path):
    first, _ = save(finding(), tmp_path)
    path, written = save(finding(target=Target(attn="eager")), tmp_path)
    assert written
    assert path != first
    assert (load(first).target.attn, load(path).target.attn) == ("sdpa", "eager")
