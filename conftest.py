"""pytest's way in: the options of ``pytest fuzz`` and the target they name."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from fuzz.cli import add_target_options, target_from
from fuzz.errors import UsageProblem
from fuzz.target import Target


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of ``pytest fuzz``; they mean what they mean to ``ropefuzz run``."""
    group = parser.getgroup("ropefuzz", "ropefuzz (pytest fuzz)")
    add_target_options(group.addoption)
    group.addoption("--cases", type=int, default=50, help="cases per property (default: 50)")
    group.addoption("--seed", type=int, default=0, help="draws the cases (default: 0)")
    group.addoption(
        "--save-to",
        type=Path,
        default=Path("regressions"),
        metavar="DIR",
        help="folder for findings (default: regressions)",
    )


@pytest.fixture(scope="session")
def target(request: pytest.FixtureRequest) -> Target:
    """The target that the options name."""
    names = ("family", "model", "attn", "dtype", "device", "plant")
    options = {name: request.config.getoption(f"--{name}") for name in names}
    return target_from(argparse.Namespace(**options))


def pytest_configure(config: pytest.Config) -> None:
    """Refuse options that name nothing, before anything is collected."""
    try:
        names = ("family", "model", "attn", "dtype", "device", "plant")
        target_from(argparse.Namespace(**{n: config.getoption(f"--{n}") for n in names}))
        if config.getoption("--cases") < 1:
            raise UsageProblem(f"--cases: expected 1 or more, got {config.getoption('--cases')}")
    except UsageProblem as problem:
        raise pytest.UsageError(str(problem)) from None
