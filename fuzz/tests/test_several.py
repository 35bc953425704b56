"""Several families in one run: what is found, told and summed up is what each alone gives."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import pytest

from fuzz import several
from fuzz.errors import UsageProblem
from fuzz.events import (
    Event,
    Found,
    KnownSeen,
    Listener,
    Mapped,
    Notice,
    Progress,
    PropertyDone,
    RunEnded,
    RunStarted,
)
from fuzz.families import FAMILIES
from fuzz.finding import Finding
from fuzz.isolation.errors import SetupProblem
from fuzz.isolation.supervisor import Supervisor
from fuzz.report import command
from fuzz.reports.runs import gather
from fuzz.session import Options, Report
from fuzz.target import Target
from fuzz.tests.stub_run import PASS, Stub, images_fail

NAMES = ("qwen2_vl", "qwen3_vl", "llama")


@contextmanager
def stubs(target: Target, _told: Listener) -> Iterator[Supervisor]:
    """Images fail in one family, and one is not in this release."""
    if target.family == "llama":
        raise SetupProblem("usage", "no such class")
    fails = target.family == "qwen3_vl"
    yield cast(Supervisor, Stub(images_fail if fails else (lambda _: PASS)))


def run(
    folder: Path, named: bool = False
) -> tuple[Report, tuple[str, ...], list[Event], list[Event]]:
    told: list[Event] = []
    kept: list[Event] = []
    options = Options(properties=("no_crash",), cases=20, seed=1, save_to=folder)
    targets = [Target(family=name) for name in NAMES]
    report, mistakes = several.run(targets, options, stubs, told.append, kept.append, named)
    return report, mistakes, told, kept


def test_counts_and_findings_are_those_of_all(tmp_path: Path) -> None:
    report, mistakes, told, _ = run(tmp_path)
    assert {name: sum(c.values()) for name, c in report.counts.items()} == {
        "qwen2_vl: no_crash": 20,
        "qwen3_vl: no_crash": 20,
    }
    assert [f.target.family for f in report.findings] == ["qwen3_vl"]
    assert (report.exit_code, mistakes) == (1, ())
    assert [e.finding for e in told if isinstance(e, Found)] == list(report.findings)
    assert max(e.done for e in told if isinstance(e, Progress)) == 40


def test_a_family_is_one_line_and_one_that_this_release_lacks_is_left_out(tmp_path: Path) -> None:
    _, _, told, _ = run(tmp_path)
    lines = [e.text for e in told if isinstance(e, Notice)]
    assert any(line.startswith("qwen2_vl             20 cases in ") for line in lines)
    assert lines[-1] == "left out: llama: no such class"


def test_a_named_family_that_this_release_lacks_is_a_mistake(tmp_path: Path) -> None:
    assert run(tmp_path, named=True)[1] == ("llama: no such class",)


def test_reports_are_told_family_by_family(tmp_path: Path) -> None:
    """From its start to its end, whatever ran at the same time."""
    kept = [e for e in run(tmp_path)[3] if not isinstance(e, Notice | KnownSeen)]
    blocks = [type(e) for e in kept if not isinstance(e, Found)]
    assert blocks == [RunStarted, PropertyDone, RunEnded] * 2
    families = [e.target.family for e in kept if isinstance(e, RunStarted)]
    at = next(n for n, e in enumerate(kept) if isinstance(e, Found))
    started = [e for e in kept[:at] if isinstance(e, RunStarted)]
    assert sorted(families) == ["qwen2_vl", "qwen3_vl"]
    assert started[-1].target.family == "qwen3_vl"


def test_a_page_gets_maps_of_each_familys_findings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def drawn(_: Supervisor, findings: Sequence[Finding], listener: Listener) -> None:
        for finding in findings:
            listener(Mapped(finding.signature, ("x", "y"), ((1, 2), (1, 2)), ("#.",), (), "s"))

    monkeypatch.setattr(several, "maps_of", drawn)
    kept: list[Event] = []
    options = Options(properties=("no_crash",), cases=20, seed=1, save_to=tmp_path)
    targets = [Target(family=name) for name in NAMES]
    several.run(targets, options, stubs, lambda _: None, kept.append, False, mapped=True)
    runs = {run.started.target.family: run for run in gather(kept)}
    assert len(runs["qwen3_vl"].maps) == len(runs["qwen3_vl"].found) == 1
    assert runs["qwen2_vl"].maps == {}


def test_a_family_whose_process_dies_could_not_be_judged(tmp_path: Path) -> None:

    @contextmanager
    def deadly(target: Target, _told: Listener) -> Iterator[Supervisor]:
        if target.family == "qwen3_vl":
            os._exit(7)
        yield cast(Supervisor, Stub(lambda _: PASS))

    options = Options(properties=("no_crash",), cases=5, seed=1, save_to=tmp_path)
    targets = [Target(family=name) for name in NAMES[:2]]
    report, _ = several.run(targets, options, deadly, lambda _: None, lambda _: None, False)
    assert report.broken == ("qwen3_vl: the process that ran it died (exit code 7)",)
    assert report.exit_code == 3


def test_families_are_named_repeated_or_all() -> None:
    def families(*names: str, model: str = "") -> list[str]:
        given = Namespace(model=model, weights="random", attn="sdpa", dtype="exact", device="cpu")
        return [t.family for t in several.targets_from(given, names)]

    assert families() == ["qwen2_vl"]
    assert families("llama", "qwen3_vl", "llama") == ["llama", "qwen3_vl"]
    all_of_them = families("all")
    assert sorted(all_of_them) == sorted(FAMILIES)
    # Long ones are not left for the end.
    assert bool(FAMILIES[all_of_them[0]].processor) > bool(FAMILIES[all_of_them[-1]].processor)
    with pytest.raises(UsageProblem, match="--model is one checkpoint directory"):
        families("all", model="somewhere")


def test_the_same_cases_again() -> None:
    said = command(Target(), Options(seed=7), ["qwen2_vl", "llama"])
    assert said == "ropefuzz run --family qwen2_vl --family llama --seed 7"
