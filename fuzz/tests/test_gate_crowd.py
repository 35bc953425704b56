"""Several families of a gate at the same time find what one after the other does."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fuzz import crowd
from fuzz.events import Event, Found, KnownSeen, Progress
from fuzz.gate.result import EXIT_CODES
from fuzz.outcome import BLOCKING
from fuzz.tests.gate_stub import Release, gate
from fuzz.tests.stub_run import ONE_IMAGE, PASS, entry, failing, images_fail
from fuzz.verdict import Outcome
from strategies.case import Case, has_images

FAMILIES = ("qwen2_vl", "qwen2_5_vl", "llama")


def test_what_is_found_some_at_a_time_is_what_is_found_one_after_the_other(tmp_path: Path):
    """Cases, counts and findings; the processes save what they find."""
    results = []
    for places in (1, 2):
        events: list[Event] = []
        folder = tmp_path / str(places)
        result = gate(
            folder,
            Release("1"),
            Release("2", images_fail),
            "no_crash",
            "causality",
            families=FAMILIES,
            places=places,
            events=events,
        )
        assert {e.finding.case for e in events if isinstance(e, Found)} == {ONE_IMAGE}
        assert result.counts["llama", "no_crash"].total() == 30
        saved = sorted(d.path.relative_to(folder) for d in result.differences if d.path)
        assert [folder / path for path in saved if (folder / path).exists()]
        results.append((result.counts, result.executed, saved, result.verdict(BLOCKING)))
    assert results[0] == results[1]
    done = [e.done for e in events if isinstance(e, Progress)]
    assert sorted(done) == done
    assert done[-1] == 2 * 3 * 30


def test_what_is_known_is_told_once_whoever_meets_it(tmp_path: Path):
    events: list[Event] = []
    known = entry(affects=">=2")
    sides = (Release("1"), Release("2", images_fail))
    result = gate(
        tmp_path,
        *sides,
        "no_crash",
        families=FAMILIES,
        places=3,
        entries=(known,),
        events=events,
    )
    assert result.total()["known"] > 3
    assert [e.entry.id for e in events if isinstance(e, KnownSeen)] == [known.id]


def test_a_process_that_dies_is_unjudged_and_the_others_are_kept(tmp_path: Path):
    parent = os.getpid()

    def deadly(case: Case) -> Outcome:
        if has_images(case) and os.getpid() != parent:
            os._exit(7)
        return PASS

    result = gate(
        tmp_path,
        Release("1"),
        Release("2", deadly),
        "no_crash",
        families=FAMILIES,
        places=2,
        cases=40,
    )
    assert dict(result.unjudged) == {
        "qwen2_vl: the process that ran it died (exit code 7)": 1,
        "qwen2_5_vl: the process that ran it died (exit code 7)": 1,
        "llama: no process is left to run it": 1,
    }
    assert EXIT_CODES[result.verdict(BLOCKING)] == 3


def test_an_exception_nobody_expected_is_told_and_the_others_are_kept(tmp_path: Path):
    def start() -> None:
        raise RuntimeError("our mistake")

    before = Release("1")
    before.start = start  # type: ignore[method-assign, assignment]  # it never returns
    result = gate(tmp_path, before, Release("2"), "no_crash", families=FAMILIES, places=2)
    assert len(result.unjudged) == len(FAMILIES)
    assert all(": RuntimeError: our mistake (" in text for text in result.unjudged)


def test_ctrl_c_keeps_what_all_of_them_have(tmp_path: Path):
    stopped: list[Event] = []

    def stops(event: Event) -> None:
        if isinstance(event, Found) and not stopped:
            stopped.append(event)
            raise KeyboardInterrupt

    def fails(case: Case) -> Outcome:
        return failing("images") if has_images(case) else PASS

    result = gate(
        tmp_path,
        Release("1"),
        Release("2", fails),
        *("no_crash", "causality", "visibility", "cache_agreement"),
        families=FAMILIES,
        places=2,
        cases=4000,
        listener=stops,
    )
    assert result.interrupted
    assert [d.change for d in result.differences][:1] == ["regressed"]
    assert 0 < result.total().total() < 3 * 4 * 4000


@pytest.mark.parametrize(
    ("cores", "targets", "device", "expected"),
    [(2, 12, "cpu", 3), (1, 12, "cpu", 2), (16, 12, "cpu", 6), (2, 1, "cpu", 1), (8, 9, "cuda", 1)],
)
def test_how_many_at_a_time(
    cores: int, targets: int, device: str, expected: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)))
    assert crowd.places(targets, device, sides=2) == expected
