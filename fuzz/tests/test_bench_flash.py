"""``ropefuzz bench flash`` agrees where it should, and fails where it should not."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fuzz.bench import flash
from fuzz.tests.fake_target import PASSES
from fuzz.tests.test_cli import ropefuzz
from strategies.geometry import geometry_to_plain
from strategies.tests.examples import QWEN2_VL

UNUSED_ROWS = {
    "property": "attention_agreement",
    "verdict": "fail",
    "what": "flash_attention_2 = eager",
    "where": "",
    "message": "",
}


def measured(monkeypatch: pytest.MonkeyPatch, release: str = "5.23.0", **changes: Any) -> int:
    """Run the bench over a process that gives the same answer to every case."""
    ready = {"versions": {"transformers": release}, "geometry": geometry_to_plain(QWEN2_VL)}

    @contextlib.contextmanager
    def measuring(*_targets: object) -> Iterator[tuple[Any, Any]]:
        yield ready, None

    def ask(_talk: object, request: dict[str, Any]) -> dict[str, Any]:
        noticed = dict.fromkeys(request["controls"], changes.get("noticed", True))
        answer = {"padded": False, "eager": False, "distance": 1e-15, "outcome": PASSES}
        return {**answer, **changes, "noticed": noticed}

    monkeypatch.setattr(flash, "_measuring", measuring)
    monkeypatch.setattr(flash, "_ask", ask)
    return flash.main(20, 0)


def failed(signature: dict[str, str]) -> dict[str, Any]:
    return {**PASSES, "verdict": "fail", "message": "differ by 0.1", "signature": signature}


def test_in_the_real_model_it_agrees_and_every_control_is_noticed(tmp_path: Path):
    done = ropefuzz(tmp_path, "bench", "flash", "--cases", "10")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "NOT KNOWN" not in done.stdout
    gaps = [float(gap) for gap in re.findall(r"largest difference: (\S+)", done.stdout)]
    assert len(gaps) == 2
    assert max(gaps) <= 1e-9
    for control in (*flash.CONTROLS, *flash.WINDOW_CONTROLS):
        (count,) = re.findall(rf"  {control}: noticed by (\d+) of \d+ cases, first ", done.stdout)
        assert int(count) > 0


def test_all_that_agrees_and_is_noticed_gives_0(monkeypatch: pytest.MonkeyPatch):
    assert measured(monkeypatch) == 0


def test_a_control_that_nothing_notices_gives_1(monkeypatch: pytest.MonkeyPatch):
    assert measured(monkeypatch, noticed=False) == 1


def test_a_failure_that_is_not_in_the_ledger_gives_1_and_is_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    unknown = failed({**UNUSED_ROWS, "what": "flash_attention_2 = nothing"})
    assert measured(monkeypatch, outcome=unknown) == 1
    assert re.search(r"20 NOT KNOWN: .*\n +first: \{", capsys.readouterr().out)


def test_a_refusal_of_a_case_that_has_to_run_is_no_agreement(monkeypatch: pytest.MonkeyPatch):
    refused = {**failed({**UNUSED_ROWS, "verdict": "reject"}), "verdict": "reject"}
    assert measured(monkeypatch, outcome=refused) == 1
