"""Bisect finds where a failure begins and ends, and writes it down."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import replace
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from fuzz import ledger, regression
from fuzz.errors import CannotJudge, UsageProblem
from fuzz.finding import Finding
from fuzz.gate.bisect import Look, Range, find, main
from fuzz.isolation.errors import SetupProblem
from fuzz.terminal import Terminal
from fuzz.tests.builders import finding
from fuzz.tests.stub_run import PASS, entry
from fuzz.verdict import Outcome

MANY = [f"5.{n}.0" for n in range(24)]


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[Look], int]:
    """What each release does, for one stretch of failing ones, and one of these."""
    n = draw(st.integers(1, 24))
    start = draw(st.integers(0, n - 1))
    end = draw(st.integers(start + 1, n))
    bad = draw(st.integers(start, end - 1))
    unclear = draw(st.sets(st.integers(0, n - 1), max_size=6)) - {bad}
    looks: list[Look] = [
        "unclear" if i in unclear else "fails" if start <= i < end else "passes" for i in range(n)
    ]
    return looks, bad


@settings(max_examples=500, deadline=None)
@given(histories())
def test_the_ends_of_the_stretch_are_found_up_to_releases_that_cannot_be_judged(
    history: tuple[list[Look], int],
):
    looks, bad = history
    releases = MANY[: len(looks)]
    asked: list[str] = []

    def look(release: str) -> Look:
        asked.append(release)
        return looks[releases.index(release)]

    found = find(releases, look, releases[bad])
    assert len(asked) == len(set(asked))
    first = releases.index(found.first_bad)
    assert looks[first] == "fails"
    before = releases.index(found.last_good) if found.last_good else -1
    assert found.last_good == "" or looks[before] == "passes"
    if found.last_good:
        assert set(looks[before + 1 : first]) <= {"unclear"}
    else:
        assert "passes" not in looks[:first]
    if found.first_good:
        fixed = releases.index(found.first_good)
        assert looks[fixed] == "passes"
        between = looks[bad:fixed]
        assert "passes" not in between
    else:
        assert "passes" not in looks[bad:]


def test_few_releases_are_asked():
    asked: list[str] = []

    def look(release: str) -> Look:
        asked.append(release)
        return "fails" if 9 <= MANY.index(release) < 20 else "passes"

    assert find(MANY, look, "5.18.0") == Range("5.9.0", "5.8.0", "5.20.0")
    assert len(asked) <= 11


def test_a_release_that_does_not_fail_or_a_good_one_that_does_cannot_be_bisected():
    with pytest.raises(CannotJudge, match=re.escape("it does not fail in 5.3.0")):
        find(MANY, lambda _: "passes", "5.3.0")
    with pytest.raises(CannotJudge, match=re.escape("it does not pass in 5.1.0")):
        find(MANY, lambda _: "fails", "5.3.0", "5.1.0")
    with pytest.raises(UsageProblem, match=re.escape("--good 5.4.0 is not before --bad 5.3.0")):
        find(MANY, lambda _: "fails", "5.3.0", "5.4.0")


RELEASES = ["4.50.0", "5.0.0", "5.1.0", "5.2.0", "5.3.0", "5.4.0"]


def bisected(
    file: Path, judge: Callable[[str], Outcome], **given: Any
) -> tuple[int, list[str], list[str]]:
    """Run the command over releases that behave as told.

    Returns:
        The exit code, what was printed, and the environments that were taken away again.
    """
    removed: list[str] = []
    out = StringIO()

    @contextmanager
    def use(release: str):
        yield SimpleNamespace(version=release)

    @contextmanager
    def supervise(_: object, environment: Any):
        def start() -> None:
            if environment.version == "5.3.0":
                raise SetupProblem("usage", "torchvision is missing")

        yield SimpleNamespace(start=start, check_fresh=lambda *_: judge(environment.version))

    store = SimpleNamespace(
        names=lambda: RELEASES,
        releases=lambda: RELEASES,
        use=use,
        remove=removed.append,
    )
    options = {"file": file, "good": "", "bad": "", "keep": True, **given}
    terminal = Terminal(console=Console(file=out, width=200))
    code = main(
        argparse.Namespace(**options),
        store,  # type: ignore[arg-type]  # stand-ins, as above
        supervise,  # type: ignore[arg-type]
        terminal,
    )
    return code, out.getvalue().splitlines(), removed


def saved(folder: Path) -> tuple[Finding, Path]:
    one = finding()
    one = replace(one, versions={**one.versions, "transformers": "5.1.0"})
    return one, regression.save(one, folder)[0]


def test_the_range_is_told_and_written_into_the_ledgers_entry(tmp_path: Path):
    one, path = saved(tmp_path)
    fails = Outcome("fail", "broke", one.signature)
    ledger.save(tmp_path, [replace(entry(signatures=(one.signature,)), affects=">=4.45")])

    def judge(release: str) -> Outcome:
        return fails if release in ("5.0.0", "5.1.0", "5.2.0") else PASS

    code, said, _ = bisected(path, judge)
    assert code == 0
    assert said[-2] == (
        "fails first in 5.0.0 (passes in 4.50.0), first fixed in 5.4.0: affects '>=5.0.0,<5.4.0'"
    )
    assert said[-1].endswith("'>=4.45' is now '>=5.0.0,<5.4.0'")
    assert ledger.load(tmp_path)[0].affects == ">=5.0.0,<5.4.0"
    assert any("5.3.0    unclear  torchvision is missing" in line for line in said)
    assert bisected(path, judge)[1][-1].endswith("says so already")


def test_a_release_that_refuses_the_input_does_not_fail_and_is_named_as_refusing(tmp_path: Path):
    one, path = saved(tmp_path)

    def judge(release: str) -> Outcome:
        if release in ("4.50.0", "5.4.0"):
            return Outcome("reject", "refused: too small")
        return Outcome("fail", "broke", one.signature)

    _, said, _ = bisected(path, judge)
    assert said[-1].startswith(
        "fails first in 5.0.0 (is refused in 4.50.0), first refused in 5.4.0"
    )


def test_a_failure_of_another_kind_or_one_that_wavers_is_unclear(tmp_path: Path):
    one, path = saved(tmp_path)
    other = replace(one.signature, what="something else")
    wavering = iter([PASS, Outcome("fail", "broke", one.signature)])

    def judge(release: str) -> Outcome:
        if release == "5.2.0":
            return Outcome("fail", "else", other)
        if release == "5.0.0":
            return next(wavering)
        return Outcome("fail", "broke", one.signature) if release == "5.1.0" else PASS

    _, said, _ = bisected(path, judge)
    assert said[-1].startswith("fails first in 5.1.0 (passes in 4.50.0), first fixed in 5.4.0")
    assert any("unclear  fails in another way: else" in line for line in said)
    assert any("unclear  fresh processes do not agree" in line for line in said)


def test_a_file_without_a_release_or_with_a_foreign_one_needs_bad(tmp_path: Path):
    _, path = saved(tmp_path)
    with pytest.raises(
        UsageProblem, match=re.escape("7.0 is no release of the index that has the family")
    ):
        bisected(path, lambda _: PASS, bad="7.0")
