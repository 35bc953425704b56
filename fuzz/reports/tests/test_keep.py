"""Reports are promised before a run and kept whatever becomes of it."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

import pytest

from fuzz.cli import main
from fuzz.errors import UsageProblem
from fuzz.isolation.supervisor import Supervisor
from fuzz.reports import github
from fuzz.reports.keep import open_reports
from fuzz.reports.lines import read
from fuzz.reports.tests.events import EVENTS, FAILED, FLAKY

REGRESSIONS = Path(__file__).resolve().parents[3] / "regressions"
SAVED = REGRESSIONS / "qwen2_vl" / "cache_agreement-4ee86ca4be.json"


def test_events_are_in_the_file_as_they_come_and_the_rest_at_the_end(tmp_path: Path):
    paths = [tmp_path / "new" / f"run{s}" for s in (".jsonl", ".md", ".html")]
    (tmp_path / "new").mkdir()
    reports = open_reports(paths, print)
    for event in EVENTS:
        reports(event)
        reports(event) if event is FLAKY else None
    # Before the end: a run that is killed has told what it found.
    lasting = [e for e in EVENTS if type(e).__name__ not in ("Progress", "Shrinking")]
    told = read(paths[0])
    assert [e for n, e in enumerate(told) if e not in told[:n]] == lasting
    assert not paths[1].exists()
    reports.close()
    assert "## ropefuzz" in paths[1].read_text()
    assert "<!DOCTYPE html>" in paths[2].read_text()
    assert not reports.failed


@pytest.mark.parametrize("name", ["run.txt", "run"])
def test_a_suffix_that_stands_for_nothing_is_refused_before_the_run(tmp_path: Path, name: str):
    with pytest.raises(UsageProblem, match=r"expected a report's name to end in \.jsonl"):
        open_reports([tmp_path / name], print)


def test_a_place_that_cannot_be_written_is_refused_before_the_run(tmp_path: Path):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder.md").mkdir()
    for place, said in (
        (tmp_path / "file" / "run.md", f"folder {tmp_path / 'file'} is no folder"),
        (tmp_path / "no" / "run.md", f"folder {tmp_path / 'no'} does not exist"),
        (tmp_path / "folder.md", "is a folder"),
        # Its permissions let root write there, the kernel does not.
        (Path("/proc/run.md"), "cannot be written: No such file or directory"),
    ):
        with pytest.raises(UsageProblem) as raised:
            open_reports([place], print)
        assert str(raised.value) == f"{place}: {said}"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder.md"]


@pytest.mark.parametrize(
    "words",
    [
        ["run", "--cases", "1", "--report"],
        ["replay", str(SAVED), "--report"],
        ["gate", "--candidate", "installed", "--report"],
        ["gate", "--candidate", "installed", "--summary"],
        ["map", str(SAVED), "--save"],
        ["envelope", "--json"],
        ["envelope", "--save"],
        ["report", "run.jsonl", "-o"],
    ],
    ids=lambda words: f"{words[0]} {words[-1]}",
)
def test_every_command_refuses_an_output_in_no_folder_before_it_does_anything(
    words: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    def start(*_: object) -> NoReturn:
        raise AssertionError("it has started")

    monkeypatch.setattr(Supervisor, "start", start)
    monkeypatch.chdir(tmp_path)
    suffix = {"--json": "json", "--save": "svg"}.get(words[-1], "md")
    assert main([*words, f"no/out.{suffix}"]) == 2
    output = capsys.readouterr()
    assert output.err == f"ropefuzz: no/out.{suffix}: folder no does not exist\n"
    assert output.out == ""


def test_a_report_that_cannot_be_written_in_the_end_is_told_and_the_others_are_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    paths = [tmp_path / "a" / "run.md", tmp_path / "b" / "run.html"]
    for path in paths:
        path.parent.mkdir()
    reports = open_reports(paths, print)
    for event in EVENTS:
        reports(event)
    (tmp_path / "a").rmdir()
    (tmp_path / "a").write_text("")
    reports.close()
    assert reports.failed
    assert "run.md: the report cannot be written" in capsys.readouterr().err
    assert paths[1].exists()


def test_in_github_actions_findings_are_annotations_and_the_summary_is_added_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    summary = tmp_path / "summary"
    summary.write_text("before\n")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv(github.SUMMARY, str(summary))
    shown: list[str] = []
    reports = open_reports([], shown.append)
    for event in EVENTS:
        reports(event)
    reports.close()
    assert shown == [
        "::error title=ropefuzz%3A no_crash,file=saves/x.json::no_crash (error): index 0 passed a "
        "table of 0 rows%0Asmallest case: one text token, no image",
        "::warning title=ropefuzz%3A causality (flaky)::causality (fail): logits differ by 0.5%0A"
        "smallest case: image 4x1",
    ]
    text = summary.read_text()
    assert text.startswith("before\n## BLOCKED")
    assert "\n## ropefuzz" in text


def test_elsewhere_there_are_no_annotations(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    shown: list[str] = []
    reports = open_reports([], shown.append)
    reports(FAILED)
    reports.close()
    assert shown == []


def test_runs_are_made_into_one_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    files = [tmp_path / "1.jsonl", tmp_path / "2.jsonl"]
    reports = open_reports(files, print)
    for event in EVENTS:
        reports(event)
    reports.close()
    page = tmp_path / "page.html"
    assert main(["report", *map(str, files), "-o", str(page)]) == 0
    assert capsys.readouterr().out == f"{page}: 4 runs\n"
    assert page.read_text().count('id="run-') == 2
    assert main(["report", str(files[0]), "-o", str(tmp_path / "page.pdf")]) == 2
    assert main(["report", str(tmp_path / "no.jsonl"), "-o", str(page)]) == 2
    said = capsys.readouterr().err.splitlines()
    assert said == [
        f"ropefuzz: {tmp_path / 'page.pdf'}: expected a report's name to end in .html, .md",
        f"ropefuzz: {tmp_path / 'no.jsonl'}: cannot be read: No such file or directory",
    ]
