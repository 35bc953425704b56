"""The ledger is kept up by commands: listed, added to, and rid of what was seen not to fail."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from fuzz import known, ledger, regression
from fuzz.cli import main
from fuzz.errors import UsageProblem
from fuzz.files import write_json
from fuzz.isolation.supervisor import Supervisor
from fuzz.isolation.told import Ready
from fuzz.tests.builders import finding
from fuzz.verdict import Outcome
from strategies.case import Case
from strategies.geometry import geometry_to_plain
from strategies.tests.examples import QWEN2_VL

PASS = Outcome("pass")
BROKEN = Outcome("broken", "ours")


class Fake:
    """A supervisor that answers alike, of some release."""

    def __init__(self, answer: Callable[[Case], Outcome], release: str = "5.3.0") -> None:
        self.answer, self.release = answer, release

    def __enter__(self) -> Fake:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def start(self) -> Ready:
        info = {"geometry": geometry_to_plain(QWEN2_VL)}
        return Ready({"transformers": self.release}, info, 1, 0.5, 1)

    def check_fresh(self, _property: str, case: Case, _linger: float = 0.0) -> Outcome:
        return self.answer(case)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    found = replace(finding(), versions={"transformers": "5.3.0"})
    return regression.save(found, tmp_path)[0]


def add(saved: Path, *more: str) -> int:
    folder = str(saved.parent.parent)
    given = ["known", "add", str(saved), "--folder", folder, "--reason", "r"]
    return main([*given, *(more or ("--affects", ">=5.3,<5.5"))])


def pruned(saved: Path, answer: Callable[[Case], Outcome], release: str = "5.3.0") -> int:
    fake = Fake(answer, release)
    return known.prune(saved.parent.parent, lambda _: cast(Supervisor, fake))


def entries(saved: Path) -> tuple[ledger.Entry, ...]:
    return ledger.load(saved.parent.parent)


def failing(_: Case) -> Outcome:
    return Outcome("error", "broke", finding().signature)


def test_an_added_failure_is_known_where_it_affects(saved: Path) -> None:
    assert add(saved) == 0
    entry = entries(saved)[0]
    was = regression.load(saved)
    for release, expected in (("5.2.0", False), ("5.4.1", True), ("5.5.0", False)):
        found = ledger.known((entry,), was.target, was.signature, was.case, release)
        assert (found is not None) is expected, release


def test_adding_twice_is_wrong_use_and_changes_nothing(
    saved: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    add(saved)
    before = entries(saved)
    assert add(saved) == 2
    assert "is in the ledger" in capsys.readouterr().err
    assert entries(saved) == before


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--affects", "5.3 and up"), "--affects: expected a range"),
        (("--affects", "<5.3"), "leaves out 5.3.0"),
        (("--affects", ">=5", "--expires", "soon"), "--expires: expected a date"),
    ],
)
def test_a_mistake_gets_one_line(
    saved: Path, more: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert add(saved, *more) == 2
    assert said in capsys.readouterr().err
    assert entries(saved) == ()


def test_a_planted_defect_is_not_entered(tmp_path: Path) -> None:
    found = finding()
    planted = replace(found, target=replace(found.target, plants=("rotary-table-short",)))
    path = regression.save(planted, tmp_path)[0]
    with pytest.raises(UsageProblem, match="planted"):
        known._entry_of(regression.load(path), argparse.Namespace(affects=">=5"))


def test_what_was_exercised_and_passes_is_taken_out(
    saved: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    add(saved)
    assert pruned(saved, lambda _: PASS) == 0
    assert entries(saved) == ()
    assert "taken out: 1 replayed" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("answer", "release", "code", "said"),
    [
        (failing, "5.3.0", 0, "still fails"),
        (lambda _: BROKEN, "5.3.0", 3, "could not be judged"),
        (lambda _: PASS, "5.9.0", 0, "not exercised"),
    ],
)
def test_what_was_not_seen_to_pass_stays(
    saved: Path,
    answer: Callable[[Case], Outcome],
    release: str,
    code: int,
    said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    add(saved)
    assert pruned(saved, answer, release) == code
    assert len(entries(saved)) == 1
    assert said in capsys.readouterr().out


def test_an_entry_without_a_file_stays(saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    add(saved)
    saved.unlink()
    assert pruned(saved, lambda _: PASS) == 0
    assert len(entries(saved)) == 1
    assert "not exercised" in capsys.readouterr().out


@pytest.mark.parametrize("verdicts", [(), (PASS, BROKEN), (BROKEN, PASS), (PASS, failing(Case()))])
def test_one_replay_that_fails_or_is_not_judged_keeps_an_entry(verdicts: Any) -> None:
    assert not known.prunable(verdicts)


def test_a_saved_ledger_reads_back_the_same_and_in_order(tmp_path: Path) -> None:
    everything = ledger.shipped()
    ledger.save(tmp_path, everything)
    assert ledger.load(tmp_path) == tuple(sorted(everything, key=lambda e: e.id))


def test_listing_names_yours_and_the_shipped_ones(
    saved: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    add(saved, "--affects", ">=5", "--expires", "2026-01-01", "--id", "mine")
    assert main(["known", "list", "--folder", str(saved.parent.parent)]) == 0
    said = capsys.readouterr().out
    assert "mine (EXPIRED: counts as new)" in said
    assert all(entry.id in said for entry in ledger.shipped())


def test_pruning_where_nothing_is_known_is_wrong_use(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["known", "prune", "--folder", str(tmp_path)]) == 2
    assert "no known failures" in capsys.readouterr().err


def test_a_file_that_is_no_regression_is_not_added(
    saved: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_json(saved, {"format_version": 9})
    assert add(saved) == 2
    assert "format_version 9" in capsys.readouterr().err
