"""What a run prints and reports, word for word, with its exit code, in each way it can end.

The snapshots are files beside this one; numbers that a machine decides are left out of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

from fuzz import commands, ledger
from fuzz.cli import main
from fuzz.tests.stub_run import PASS, Stub, entry, failing
from fuzz.verdict import Outcome
from strategies.case import Case

SNAPSHOTS = Path(__file__).parent / "snapshots"
FAILS = failing("tables")
BROKEN = Outcome("broken", "no answer from the worker")
KNOWN = entry(id="known-tables", signatures=(FAILS.signature,), reason="tables break", url="")


class Supervised(Stub):
    """A supervisor without processes that can be opened and closed."""

    def __enter__(self) -> Supervised:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        return {"grids": [[1, 1] for _ in request["sizes"]]}


def always(outcome: Outcome) -> Callable[[Case], Outcome]:
    return lambda _: outcome


ENDS: dict[str, tuple[Outcome, Outcome, int]] = {
    "nothing": (PASS, PASS, 0),
    "finding": (FAILS, FAILS, 1),
    "known": (FAILS, FAILS, 0),
    "flaky": (FAILS, PASS, 0),
    "broken": (BROKEN, BROKEN, 3),
}
"""By name what a check gives, what a fresh process gives, and the exit code."""


def steady(text: str, folder: Path) -> str:
    """Return a text without what a machine or a library decides."""
    text = text.replace(str(folder), "FOLDER")
    # A line every so often, where it takes long.
    text = re.sub(r"(?m)^\.\.\. .*\n", "", text)
    text = re.sub(r"\(\d+ checks, \d+/s\)", "(N checks, N/s)", text)
    text = re.sub(r"(ready in|cases in) [\d.]+ s", r"\1 N s", text)
    text = re.sub(r"(minimized in +)\d+ attempts?", r"\1N attempts", text)
    text = re.sub(r"(first seen with +).*", r"\1...", text)
    # Which case was drawn first.
    text = re.sub(r"(\[qwen2\\?_vl, no\\?_crash: ).*\]", r"\1...]", text)
    return re.sub(r"[0-9a-f]{10}\.json", "DIGEST.json", text)


@pytest.mark.parametrize("name", ENDS)
def test_what_is_printed_and_reported_and_the_exit_code(
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    gives, fresh, code = ENDS[name]
    monkeypatch.setattr(
        commands, "Supervisor", lambda *_, **__: Supervised(always(gives), fresh=always(fresh))
    )
    monkeypatch.setattr(ledger, "shipped", lambda: (KNOWN,) if name == "known" else ())
    arguments = ["run", "--property", "no_crash", "--cases", "5", "--seed", "1"]
    assert main([*arguments, "--report", "run.md"]) == code
    told = capsys.readouterr()
    parts = [told.out, f"stderr:\n{told.err}", f"run.md:\n{Path('run.md').read_text()}"]
    text = steady("\n".join(parts), tmp_path)
    assert text == (SNAPSHOTS / f"{name}.txt").read_text(encoding="utf-8")


def test_wrong_use_is_one_line_and_nothing_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    assert main(["run", "--property", "no_crush", "--report", "run.md"]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err == "ropefuzz: unknown property 'no_crush'; did you mean 'no_crash'?\n"
    assert not Path("run.md").exists()
