"""The catalogue is sound, nothing but the benchmark reads it, and results add up."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from packaging.version import Version

from fuzz.bench import bugs, known_bugs
from fuzz.bench.bugs import Run, table
from fuzz.errors import UsageProblem
from fuzz.families import FAMILIES
from fuzz.verdict import Signature
from strategies.validity import problems

CATALOGUE = known_bugs.load()
ROOT = Path(__file__).resolve().parents[2]


def test_there_are_twenty_bugs_over_many_families_and_releases():
    assert len(CATALOGUE) >= 20
    assert len({b.target.family for b in CATALOGUE}) >= 6
    assert len({b.affected for b in CATALOGUE}) >= 10


@pytest.mark.parametrize("bug", CATALOGUE, ids=lambda b: b.id)
def test_a_bug_is_one_that_can_be_looked_for(bug: known_bugs.Bug):
    since = Version(FAMILIES[bug.target.family].since)
    assert Version(bug.affected) >= since
    assert Version(bug.silent) >= since
    assert bug.affected != bug.silent
    assert all(link.startswith("https://github.com/") for link in bug.links)
    assert bug.smallest is None or not problems(bug.smallest)


def test_nothing_that_fuzzes_reads_the_catalogue():
    readers = {
        path.relative_to(ROOT).as_posix()
        for folder in ("fuzz", "strategies")
        for path in (ROOT / folder).rglob("*.py")
        if "known_bugs" in path.read_text() or "bench/catalogue" in path.read_text()
    }
    assert readers == {"fuzz/bench/bugs.py", "fuzz/tests/test_bench_bugs.py"}


def test_a_failure_is_the_bug_only_if_it_fails_as_the_bug_does():
    bug = replace(CATALOGUE[0], verdict="fail", what="position ids")
    assert bug.matches(Signature("rotary_reference", "fail", "position ids, forward"))
    assert not bug.matches(Signature("rotary_reference", "fail", "text rotation"))
    assert not bug.matches(Signature("no_crash", "error", "position ids"))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"property": "no_crahs"}, "did you mean 'no_crash'?"),
        ({"family": "qwen9"}, "unknown family"),
        ({"id": "another"}, "its id is 'another'"),
        ({"title": None, "links": None}, "not a bug of the catalogue"),
        ({"format_version": 2}, "format_version 2 is unknown"),
    ],
)
def test_an_entry_that_cannot_be_used_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, object], said: str
):
    source = next(known_bugs.FOLDER.glob("*.json"))
    data = {**json.loads(source.read_text()), **change}
    (tmp_path / source.name).write_text(json.dumps(data))
    monkeypatch.setattr(known_bugs, "FOLDER", tmp_path)
    with pytest.raises(UsageProblem, match=said.replace("?", r"\?")):
        known_bugs.load()


def test_the_table_counts_what_was_found_and_tells_every_alarm():
    one, other = CATALOGUE[0], CATALOGUE[1]
    runs = [
        Run(one.id, 0, True, 4, 1.0, 3.0, "image 1x2", "{}", False, 100),
        Run(one.id, 1, True, 8, 2.0, 4.0, "image 4x1", "{}", False, 100, ("no_crash: new",)),
        Run(other.id, 0, False, 200, silent_cases=100),
    ]
    lines = table(runs, {b.id: b for b in CATALOGUE})
    assert lines[2] == (
        f"| {one.title} (`{one.target.family}`) | {one.affected} | 2 of 2 | 6 [8] | 1.5 | 3.5 | "
        "image 1x2 |"
    )
    assert "| 0 of 1 |" in lines[3]
    assert lines[5] == "1 of 2 bugs found with every seed; cases to meet one, median 6"
    assert lines[6].endswith("failures there that no ledger expects: 1")
    assert lines[7] == f"  {one.id}, seed 1: no_crash: new"


def test_results_are_kept_and_gone_on_from_but_not_with_another_budget(tmp_path: Path):
    path = tmp_path / "r.json"
    runs = [Run("b", 1, alarms=("x",)), Run("a", 0)]
    bugs._keep(path, 500, runs)
    assert bugs._kept(path, 500) == [runs[1], runs[0]]
    with pytest.raises(UsageProblem, match="was run with 500 cases, not 60"):
        bugs._kept(path, 60)
    assert bugs._kept(tmp_path / "none.json", 60) == []


def test_the_readme_says_what_the_kept_results_say():
    """``ropefuzz bench bugs --rounds 3 --cases 200 --results fuzz/bench/results/bugs.json``."""
    kept = bugs._kept(ROOT / "fuzz" / "bench" / "results" / "bugs.json", 200)
    said = table(kept, {b.id: b for b in CATALOGUE})
    told = [line for line in said if not line.startswith("  ")]
    assert "\n".join(told) in (ROOT / "README.md").read_text()
    assert {run.bug for run in kept} == {bug.id for bug in CATALOGUE}
