"""pytest's way in: the options of ``pytest fuzz``, and what its processes share."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Protocol

import pytest

from fuzz.errors import UsageProblem
from fuzz.options import (
    add_fresh_options,
    add_images_option,
    add_limit_options,
    add_target_options,
    deadline_from,
    target_from,
    wrap_from,
)
from fuzz.shared import Notes
from fuzz.target import Target

SHARED: Final = pytest.StashKey[Path]()
"""The folder that the processes of this run share."""


class Node(Protocol):
    """What pytest-xdist, which need not be installed, tells of a process it is about to start."""

    config: pytest.Config
    workerinput: dict[str, Any]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of ``pytest fuzz``; they mean what they mean to ``ropefuzz run``."""
    group = parser.getgroup("ropefuzz", "ropefuzz (pytest fuzz)")

    def add(name: str, **attributes: object) -> None:
        kind = attributes.get("type")
        if callable(kind):
            attributes["type"] = _in_one_line(name, kind)
        group.addoption(name, **attributes)

    add_target_options(add)
    add("--cases", type=int, default=50, help="cases per property (default: 50)")
    add("--seed", type=int, default=0, help="draws the cases (default: 0)")
    add(
        "--save-to",
        type=Path,
        default=Path("regressions"),
        metavar="DIR",
        help="folder for findings (default: regressions)",
    )
    add_images_option(add)
    add_limit_options(add)
    add_fresh_options(add)


def pytest_configure(config: pytest.Config) -> None:
    """Refuse options that name nothing, before anything is collected."""
    try:
        target_from(config.option)
        deadline_from(config.option)
        wrap_from(config.option)
        if config.getoption("--cases") < 1:
            raise UsageProblem(f"--cases: expected 1 or more, got {config.getoption('--cases')}")
    except UsageProblem as problem:
        raise pytest.UsageError(str(problem)) from None
    given: dict[str, str] | None = getattr(config, "workerinput", None)
    if given is not None:
        config.stash[SHARED] = Path(given["ropefuzz_shared"])
        return
    folder = tempfile.TemporaryDirectory(prefix="ropefuzz-")
    config.add_cleanup(folder.cleanup)
    config.stash[SHARED] = Path(folder.name)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Node) -> None:
    """Tell a process of pytest-xdist which folder it shares with the others."""
    node.workerinput["ropefuzz_shared"] = str(node.config.stash[SHARED])


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Show what no test's report shows: notices, and findings of a test that did not end."""
    told = [report.longreprtext for report in terminalreporter.stats.get("failed", [])]
    notes = Notes(config.stash[SHARED]).read()
    left = [note for note in notes if not any(note in text for text in told)]
    if left:
        terminalreporter.section("ropefuzz")
        for note in left:
            terminalreporter.line(note)


@pytest.fixture(scope="session")
def target(request: pytest.FixtureRequest) -> Target:
    """The target that the options name."""
    return target_from(request.config.option)


@pytest.fixture(scope="session")
def shared(request: pytest.FixtureRequest) -> Path:
    """The folder that the processes of this run share, and no other run has."""
    return request.config.stash[SHARED]


@pytest.fixture(scope="session")
def notes(shared: Path) -> Notes:
    """What is shown at the end of the run."""
    return Notes(shared)


def _in_one_line(name: str, read: Callable[..., Any]) -> Callable[[str], Any]:
    """Return a reader of an option's value whose complaint comes without pytest's usage."""

    def reader(text: str) -> object:
        try:
            return read(text)
        except argparse.ArgumentTypeError as error:
            raise pytest.UsageError(f"{name}: {error}") from None
        except ValueError:
            raise pytest.UsageError(f"{name}: expected a whole number, got {text!r}") from None

    return reader
