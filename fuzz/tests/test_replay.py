"""Replays are told as events, so that a report shows them; one that fails is a finding there."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import cast

from fuzz import regression, replay
from fuzz.events import Event, Found, KnownSeen, Replayed, RunEnded, RunStarted
from fuzz.isolation.supervisor import Supervisor
from fuzz.isolation.told import Ready
from fuzz.reports.html import page
from fuzz.reports.markdown import markdown
from fuzz.reports.runs import gather
from fuzz.tests.builders import SIGNATURE, finding
from fuzz.tests.stub_run import PASS, entry
from fuzz.verdict import Outcome
from strategies.geometry import geometry_to_plain
from strategies.tests.examples import QWEN2_VL

FAILS = Outcome("error", "index 0 passed a table of 0 rows", SIGNATURE)


class Stub:
    """A supervisor that answers every check in one way."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome

    def __enter__(self) -> Stub:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return

    def start(self) -> Ready:
        info = {"geometry": geometry_to_plain(QWEN2_VL)}
        return Ready({"transformers": "5.23.0"}, info, 1, 0.1, 1)

    def check_fresh(self, *_: object) -> Outcome:
        return self.outcome


def replayed(folder: Path, outcome: Outcome, *entries: object) -> tuple[list[Event], Path]:
    path, _ = regression.save(finding(), folder)
    told: list[Event] = []
    stub = cast(Supervisor, Stub(outcome))
    results = list(replay.replay([path], (), entries, lambda _: stub, told.append))  # type: ignore[arg-type]
    assert [e for e in told if isinstance(e, Replayed)] == results
    return told, path


def test_a_failure_is_a_finding_of_the_report(tmp_path: Path):
    told, path = replayed(tmp_path, FAILS)
    assert [type(e) for e in told] == [RunStarted, Replayed, Found, RunEnded]
    assert told[1] == Replayed(path, "FAILED", FAILS.message)
    ended = told[-1]
    assert isinstance(ended, RunEnded)
    assert (ended.exit_code, ended.again) == (1, f"ropefuzz replay {path}")
    runs = gather(told)
    assert runs[0].headline == "1 saved failure replayed: 1 FAILED, 1 new finding, " + (
        "0 known failures met"
    )
    for text in (page(runs), markdown(runs)):
        assert "FINDING no_crash" in text or "Finding: no_crash" in text
        assert "seed" not in text.partition("ropefuzz replay")[0].rpartition("torch")[2]


def test_one_that_is_fixed_and_one_that_is_known_are_none(tmp_path: Path):
    told, path = replayed(tmp_path, PASS)
    assert [type(e) for e in told] == [RunStarted, Replayed, RunEnded]
    assert told[1] == Replayed(path, "FIXED", "passes")
    known = entry(signatures=(SIGNATURE,))
    told, _ = replayed(tmp_path, FAILS, known)
    assert [type(e) for e in told] == [RunStarted, Replayed, KnownSeen, RunEnded]
    assert gather(told)[0].known == [known]
