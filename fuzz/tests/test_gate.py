"""The gate: what differs between two releases is found, made small, kept, and decides."""

from __future__ import annotations

import threading
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from fuzz import regression
from fuzz.claims import ACROSS
from fuzz.events import Event
from fuzz.gate.both import both
from fuzz.gate.fresh import FIRST, THEN
from fuzz.gate.report import gated, verdict_lines
from fuzz.gate.result import EXIT_CODES, Result
from fuzz.isolation.errors import SetupProblem
from fuzz.outcome import BLOCKING
from fuzz.replay import replay
from fuzz.reports.markdown import gate_markdown
from fuzz.tests.builders import finding
from fuzz.tests.gate_stub import SETTINGS, Release, found_in, gate
from fuzz.tests.stub_run import ONE_IMAGE, PASS, entry, failing, images_fail
from fuzz.verdict import Outcome, Signature
from strategies.case import Case, has_images

IMAGES = Signature("no_crash", "error", "images")


def code(result: Result) -> int:
    return EXIT_CODES[result.verdict(BLOCKING)]


def last(result: Result) -> str:
    return verdict_lines(result, BLOCKING, "again")[-1]


def refuses_images(case: Case) -> Outcome:
    return Outcome("reject", "refused by x: no images") if has_images(case) else PASS


def test_a_release_against_itself_passes_whatever_its_bugs(tmp_path: Path):
    result = gate(tmp_path, Release("1", images_fail), Release("1", images_fail), "no_crash")
    assert set(result.total()) == {"same", "passing"}
    assert result.differences == []
    assert code(result) == 0
    assert last(result) == "PASS: transformers 1 -> 1: nothing that blocks"


def test_what_passes_in_the_candidate_is_run_in_the_baseline_first_always_and_then_sometimes(
    tmp_path: Path,
):
    before, after = Release("1"), Release("2")
    result = gate(tmp_path, before, after, "no_crash", cases=100)
    assert after.asked[:FIRST] == before.asked[:FIRST]
    later = sum(n % THEN == 0 for n in range(FIRST, 100))
    assert result.total() == {"same": FIRST + later, "passing": 100 - FIRST - later}
    assert (len(after.asked), len(before.asked)) == (100, FIRST + later)
    assert result.executed == 100 + FIRST + later
    said = verdict_lines(result, BLOCKING, "again")
    assert said[0].startswith("100 fresh cases: 19 same, 81 passing")
    assert said[1].startswith("passing: passes in the candidate; not run in the baseline")


def test_what_fails_in_the_candidate_and_results_are_always_compared(tmp_path: Path):
    before, after = Release("1", images_fail), Release("2", images_fail)
    result = gate(tmp_path, before, after, "no_crash", ACROSS.id, cases=60)
    assert set(result.counts["qwen2_vl", ACROSS.id]) == {"same"}
    failing = [c for c in after.asked if has_images(c)]
    assert [c for c in before.asked if has_images(c)] == failing


def test_a_failure_of_the_candidate_alone_blocks_and_is_kept_small_with_both_releases(
    tmp_path: Path,
):
    events: list[Event] = []
    before, after = Release("1.0"), Release("2.0", images_fail)
    result = gate(tmp_path, before, after, "no_crash", events=events)
    (found,) = found_in(events)
    assert found.finding.case == ONE_IMAGE
    assert (found.finding.runs, found.finding.failed) == (3, 3)
    assert found.finding.message == "regressed (passes in transformers 1.0): images broke"
    assert found.finding.said == (("begins at", "row 1"),)
    assert [d.change for d in result.differences] == ["regressed"]
    assert result.total()["regressed"] > 1  # one finding, however often it is met
    assert result.total().total() == 30
    assert code(result) == 1
    assert last(result) == "BLOCKED: transformers 1.0 -> 2.0: 1 regressed"
    assert (
        f"since which release: ropefuzz bisect {found.path} --good 1.0 --bad 2.0"
        in verdict_lines(result, BLOCKING, "again")
    )
    assert found.path is not None
    saved = regression.load(found.path)
    assert saved.signature == IMAGES
    assert saved.versions == {"transformers": "2.0", "baseline transformers": "1.0"}
    # Allowed by name it is still told.
    allowed = BLOCKING - {"regressed"}
    assert EXIT_CODES[result.verdict(allowed)] == 0
    assert "not blocking: 1 regressed" in verdict_lines(result, allowed, "")[-1]


def test_while_a_failure_is_made_small_only_what_fails_is_looked_for_in_the_baseline(
    tmp_path: Path,
):
    before, after = Release("1"), Release("2", images_fail)
    gate(tmp_path, before, after, "no_crash", cases=5)
    passing = [c for c in after.asked if not has_images(c)]
    assert len(passing) > len([c for c in before.asked if not has_images(c)])
    assert [c for c in before.asked if has_images(c)] == [c for c in after.asked if has_images(c)]


def test_a_failure_that_the_candidate_no_longer_has_is_fixed_and_does_not_block(tmp_path: Path):
    events: list[Event] = []
    before, after = Release("1", images_fail), Release("2")
    result = gate(tmp_path, before, after, "no_crash", events=events)
    assert found_in(events) == []
    assert result.total()["fixed"] > 0
    assert list(result.fixed) == [IMAGES]
    assert code(result) == 0
    assert "fixed by the candidate:" in verdict_lines(result, BLOCKING, "")


def test_what_the_candidate_refuses_anew_blocks_and_is_kept_apart_from_failures(tmp_path: Path):
    result = gate(tmp_path, Release("1"), Release("2", refuses_images), "no_crash")
    ((change, path),) = [(d.change, d.path) for d in result.differences]
    assert change == "restricted"
    assert code(result) == 1
    assert path is not None
    assert path.parent.name == "gate"
    # It is no failure of one release: a replay in one says so.
    assert regression.regressions_in(tmp_path) == []
    assert regression.regressions_in(tmp_path, gate=True) == [path]
    (told,) = replay([path], (), (), lambda _: pytest.fail("nothing is to be started"))
    assert told.status == "ERROR"
    assert f"ropefuzz gate {path}" in told.message
    # And the gate replays it.
    again = gate(
        tmp_path, Release("1"), Release("2", refuses_images), saved=(regression.load(path),)
    )
    assert [r.change for r in again.replays] == ["restricted"]
    assert code(again) == 1


def test_results_that_differ_are_changed_kept_and_do_not_block_by_themselves(tmp_path: Path):
    after = Release("2", value=lambda case: int(has_images(case)))
    result = gate(tmp_path, Release("1"), after, "no_crash", ACROSS.id)
    (difference,) = result.differences
    assert difference.change == "changed"
    assert difference.finding.case == ONE_IMAGE
    assert difference.finding.message == "changed since transformers 1: logits: differ"
    assert difference.path is not None
    assert difference.path.parent.name == "gate"
    assert set(result.counts["qwen2_vl", "no_crash"]) == {"same", "passing"}
    assert result.counts["qwen2_vl", ACROSS.id]["changed"] > 0
    assert code(result) == 0
    assert EXIT_CODES[result.verdict(BLOCKING | {"changed"})] == 1


def test_a_side_that_was_set_up_differently_is_unjudged_and_not_changed(tmp_path: Path):
    """The planted mismatch: what differs then may be ours."""
    settings = {**SETTINGS, "config": {"rms_norm_eps": 1e-5}}
    after = Release("2", value=lambda case: int(has_images(case)), settings=settings)
    result = gate(tmp_path, Release("1"), after, "no_crash", ACROSS.id)
    assert result.differences == []
    assert set(result.counts["qwen2_vl", ACROSS.id]) == {"unjudged"}
    assert set(result.counts["qwen2_vl", "no_crash"]) == {"same", "passing"}
    assert code(result) == 1
    ((said, times),) = result.unjudged.items()
    assert "config rms_norm_eps is 1e-05, 1e-06 in the baseline" in said
    assert times == 30
    assert last(result) == "BLOCKED: transformers 1 -> 2: 30 unjudged"
    assert gate(tmp_path, Release("1"), after, ACROSS.id).executed == 0  # nothing ran


def test_a_broken_check_is_unjudged_on_either_side(tmp_path: Path):
    def breaks(case: Case) -> Outcome:
        return Outcome("broken", "our mistake") if has_images(case) else PASS

    for sides in ((Release("1", breaks), Release("2")), (Release("1"), Release("2", breaks))):
        result = gate(tmp_path, *sides, "no_crash")
        assert result.total()["unjudged"] > 0
        assert code(result) == 1
        assert "our mistake" in next(iter(result.unjudged))


def test_what_fresh_processes_do_not_confirm_is_flaky_and_does_not_block(tmp_path: Path):
    result = gate(tmp_path, Release("1"), Release("2", images_fail, lambda _: PASS), "no_crash")
    assert {d.change for d in result.differences} == {"flaky"}
    assert code(result) == 0


def test_what_the_ledger_expects_of_the_candidate_never_blocks(tmp_path: Path):
    known = entry(affects=">=2")
    sides = (Release("1"), Release("2", images_fail))
    result = gate(tmp_path, *sides, "no_crash", entries=(known,))
    assert result.total()["known"] > 0
    assert result.differences == []
    assert code(result) == 0
    # Of another release, or no longer, it is new.
    assert code(gate(tmp_path, *sides, "no_crash", entries=(entry(affects="<2"),))) == 1
    expired = entry(affects=">=2", expires="2020-01-01")
    assert code(gate(tmp_path, *sides, "no_crash", entries=(expired,))) == 1


def test_a_crash_in_place_of_an_exception_is_a_regression_and_the_reverse_a_change(tmp_path: Path):
    def crashes(case: Case) -> Outcome:
        signature = Signature("no_crash", "crash", "SIGSEGV")
        return Outcome("crash", "died", signature) if has_images(case) else PASS

    worse = gate(tmp_path, Release("1", images_fail), Release("2", crashes), "no_crash")
    assert [d.change for d in worse.differences] == ["regressed"]
    better = gate(tmp_path, Release("1", crashes), Release("2", images_fail), "no_crash")
    assert (better.differences, code(better)) == ([], 0)
    assert "images broke, before: died" in next(iter(better.shifted.values()))


def test_saved_regressions_are_replayed_in_both_and_one_that_wavers_is_flaky(tmp_path: Path):
    path, _ = regression.save(finding(signature=IMAGES, case=ONE_IMAGE), tmp_path)
    saved = regression.load(path)
    turn = count()

    def wavers(_: Case) -> Outcome:
        return failing("images") if next(turn) % 2 == 0 else PASS

    for before, after, change, exit_code in (
        (Release("1"), Release("2", images_fail), "regressed", 1),
        (Release("1", images_fail), Release("2", images_fail), "same", 0),
        (Release("1", images_fail), Release("2"), "fixed", 0),
        (Release("1"), Release("2", wavers), "flaky", 0),
    ):
        result = gate(tmp_path, before, after, saved=(saved,))
        assert [r.change for r in result.replays] == [change]
        assert code(result) == exit_code
    # A difference is confirmed, what is the same is not.
    assert len(after.asked) == 3


@pytest.mark.parametrize(
    ("label", "named", "exit_code", "unjudged"),
    [("baseline", False, 3, 0), ("baseline", True, 3, 1), ("candidate", False, 3, 1)],
)
def test_a_family_that_cannot_be_had_is_no_pass(
    label: str, named: bool, exit_code: int, unjudged: int, tmp_path: Path
):
    """Only what the baseline does not have can be left out: it cannot get worse."""
    problem = SetupProblem("usage", "transformers 1 has no such family")
    before = Release("1", problem=problem if label == "baseline" else None)
    after = Release("2", problem=problem if label == "candidate" else None)
    result = gate(tmp_path, before, after, "no_crash", named=named)
    assert (len(result.unjudged), len(result.skipped)) == (unjudged, 1 - unjudged)
    assert code(result) == exit_code
    assert last(result).startswith("COULD NOT JUDGE: transformers 1 -> 2: ")


def test_workers_of_another_release_than_was_asked_for_judge_nothing(tmp_path: Path):
    before = Release("1")
    before.start = lambda: Release("9").start()  # type: ignore[method-assign]
    result = gate(tmp_path, before, Release("2"), "no_crash")
    assert list(result.unjudged) == ["workers of the baseline run transformers 9, not 1"]
    assert code(result) == 3


def stop_at(cases: int, answer: Callable[[Case], Outcome]) -> Callable[[Case], Outcome]:
    left = count()

    def check(case: Case) -> Outcome:
        if next(left) == cases:
            raise KeyboardInterrupt
        return answer(case)

    return check


def test_ctrl_c_keeps_what_was_found_and_is_no_pass(tmp_path: Path):
    clean = gate(tmp_path, Release("1"), Release("2", stop_at(5, lambda _: PASS)), "no_crash")
    assert clean.interrupted
    assert code(clean) == 3
    assert last(clean) == "COULD NOT JUDGE: transformers 1 -> 2: it was stopped"
    # In the middle of making it small.
    result = gate(tmp_path, Release("1"), Release("2", stop_at(9, images_fail)), "no_crash")
    assert result.interrupted
    assert [d.change for d in result.differences] == ["regressed"]
    assert code(result) == 1


def test_the_summary_says_the_same_in_markdown(tmp_path: Path):
    result = gate(tmp_path, Release("1"), Release("2", images_fail), "no_crash")
    text = gate_markdown(gated(result, BLOCKING, "ropefuzz gate ..."))
    lines = text.splitlines()
    assert lines[0] == f"## {last(result)}"
    start = "| regressed | no\\_crash | regressed (passes in"
    assert any(line.startswith(start) for line in lines)
    counts = result.counts["qwen2_vl", "no_crash"]
    passing = f"{counts['same']} | {counts['passing']} | 0 | 0 | 0 | 0 | 0 |"
    assert f"| qwen2\\_vl | no\\_crash | {passing}" in text
    assert lines[-3:] == ["```", "ropefuzz gate ...", "```"]


def test_ctrl_c_on_one_side_ends_the_other_before_it_is_passed_on():
    ended: list[str] = []
    stopped = threading.Event()

    def there() -> None:
        assert stopped.wait(20)
        ended.append("there")

    def here() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        both(here, there, stopped.set)
    assert ended == ["there"]
    assert both(lambda: 1, lambda: 2, stopped.set) == (1, 2)
    with pytest.raises(ZeroDivisionError):
        both(lambda: 1, lambda: 1 // 0, stopped.set)
