"""Replays every saved regression as a test of its own."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from fuzz import ledger, regression
from fuzz.isolation.supervisor import Supervisor
from fuzz.replay import judge
from fuzz.target import Target

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def started() -> Iterator[Callable[[Target], tuple[Supervisor, str]]]:
    """Start a supervisor for a target, one for all its regressions."""

    def warn(text: str) -> None:
        warnings.warn(text, stacklevel=2)

    with ExitStack() as stack:
        running: dict[Target, tuple[Supervisor, str]] = {}

        def start(target: Target) -> tuple[Supervisor, str]:
            if target not in running:
                supervisor = stack.enter_context(Supervisor(target, notify=warn))
                running[target] = supervisor, supervisor.start().versions["transformers"]
            return running[target]

        yield start


@pytest.mark.parametrize(
    "path", regression.regressions_in(HERE), ids=lambda p: f"{p.parent.name}/{p.stem}"
)
def test_regression(path: Path, started: Callable[[Target], tuple[Supervisor, str]]) -> None:
    """A saved failure is gone, or is known to be there on this release."""
    saved = regression.load(path)
    supervisor, release = started(replace(saved.target, plants=()))
    result = judge(saved, supervisor, ledger.load(HERE), release)
    if result.status == "KNOWN":
        pytest.xfail(result.message)
    assert result.status == "FIXED", result.message
