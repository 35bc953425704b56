"""What replay, gate and map print and report, word for word, with their exit codes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from fuzz import commands, ledger, regression
from fuzz.cli import main
from fuzz.environments.store import Environment
from fuzz.gate import main as gating
from fuzz.map.tests.test_map import IMAGE, one_row
from fuzz.map.tests.test_map import Stub as Grids
from fuzz.tests.builders import finding
from fuzz.tests.gate_stub import Release
from fuzz.tests.stub_run import PASS
from fuzz.tests.test_snapshots import (
    BROKEN,
    FAILS,
    KNOWN,
    SNAPSHOTS,
    Supervised,
    always,
    steady,
)
from fuzz.verdict import Outcome

Told = Callable[[], str]


@pytest.fixture
def told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Told:
    """Return what gives all that a command has said and reported."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    monkeypatch.setattr(ledger, "shipped", lambda: ())

    def said() -> str:
        got = capsys.readouterr()
        report = Path("run.md").read_text(encoding="utf-8") if Path("run.md").exists() else ""
        return steady(f"{got.out}\nstderr:\n{got.err}\nrun.md:\n{report}", tmp_path)

    return said


def snapshot(name: str) -> str:
    return (SNAPSHOTS / f"{name}.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "gives", "code"),
    [("fixed", PASS, 0), ("failed", FAILS, 1), ("known", FAILS, 0), ("broken", BROKEN, 3)],
)
def test_what_a_replay_says_and_its_exit_code(
    name: str, gives: Outcome, code: int, told: Told, monkeypatch: pytest.MonkeyPatch
):
    regression.save(finding(signature=FAILS.signature), Path("saves"))
    monkeypatch.setattr(commands, "Supervisor", lambda *_, **__: Supervised(always(gives)))
    monkeypatch.setattr(ledger, "shipped", lambda: (KNOWN,) if name == "known" else ())
    assert main(["replay", "saves", "--report", "run.md"]) == code
    assert told() == snapshot(f"replay-{name}")


@pytest.mark.parametrize(
    ("name", "before", "after", "code"),
    [
        ("pass", PASS, PASS, 0),
        ("blocked", PASS, FAILS, 1),
        ("fixed", FAILS, PASS, 0),
        ("unjudged", PASS, BROKEN, 3),
    ],
)
def test_what_a_gate_says_and_its_exit_code(
    name: str,
    before: Outcome,
    after: Outcome,
    code: int,
    told: Told,
    monkeypatch: pytest.MonkeyPatch,
):
    class Kept:
        """A store that has every release."""

        def __init__(self, *_: object) -> None:
            return

        @contextmanager
        def use(self, release: str) -> Iterator[Environment]:
            yield Environment(release, Path(f"/{release}"), release, release)

    def supervisor(_: object, pythonpath: tuple[str, ...], **__: Any) -> Release:
        old = any("1.0" in str(p) for p in pythonpath)
        return Release("1.0" if old else "2.0", always(before if old else after))

    monkeypatch.setattr(gating, "Store", Kept)
    monkeypatch.setattr(gating, "SHIPPED", Path("nothing"))
    monkeypatch.setattr(commands, "Supervisor", supervisor)
    wanted = ["--family", "qwen2_vl", "--property", "no_crash", "--cases", "5", "--seed", "1"]
    releases = ["--baseline", "1.0", "--candidate", "2.0"]
    assert main(["gate", *releases, *wanted, "--report", "run.md"]) == code
    assert told() == snapshot(f"gate-{name}")


@pytest.mark.parametrize(("name", "code"), [("drawn", 0), ("elsewhere", 3)])
def test_what_a_map_says_and_its_exit_code(
    name: str, code: int, told: Told, monkeypatch: pytest.MonkeyPatch
):
    answer = one_row if name == "drawn" else always(PASS)
    monkeypatch.setattr(commands, "Supervisor", lambda *_, **__: Grids(answer))
    path, _ = regression.save(finding(case=IMAGE), Path("saves"))
    ranges = ["--range", "width=1:40", "--range", "height=1:20"]
    assert main(["map", str(path), *ranges]) == code
    assert told() == snapshot(f"map-{name}")
