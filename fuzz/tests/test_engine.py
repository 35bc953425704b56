"""A run: what fails is minimized, confirmed, saved and told, whatever happens on the way."""

from __future__ import annotations

import pytest

from fuzz import regression
from fuzz.events import Notice, Progress, PropertyDone, RunStarted
from fuzz.isolation.errors import SetupProblem
from fuzz.tests.stub_run import ONE_IMAGE, PASS, STATIC, Bench, Stub, failing, images_fail
from fuzz.verdict import Outcome
from strategies.case import Case, has_images


def test_nothing_found_is_exit_code_0(bench: Bench):
    report = bench(Stub(lambda _: PASS))
    assert report.findings == ()
    assert report.counts == {"no_crash": {"pass": 40}}
    assert report.exit_code == 0
    assert bench.saved() == []


def test_a_failure_is_minimized_confirmed_saved_and_told(bench: Bench):
    stub = Stub(images_fail)
    report = bench(stub, confirm=4)
    (finding,) = report.findings
    assert finding.case == ONE_IMAGE
    assert has_images(finding.first)
    assert (finding.failed, finding.runs, finding.status) == (4, 4, "confirmed")
    assert finding.complete
    assert finding.versions == {"transformers": "5.0.0", "torch": "2.9"}
    assert stub.confirmed == [ONE_IMAGE] * 4
    (found,) = bench.found
    assert found.finding is finding
    assert found.note == ""
    assert found.path is not None
    assert regression.load(found.path).case == ONE_IMAGE
    assert report.exit_code == 1


def test_the_search_goes_on_to_its_last_case_after_a_finding(bench: Bench):
    report = bench(Stub(images_fail))
    assert sum(report.counts["no_crash"].values()) == 40
    assert report.counts["no_crash"]["error"] > 1
    assert len(report.findings) == 1


def test_enough_findings_end_a_property(bench: Bench):
    report = bench(Stub(images_fail), enough=1)
    assert report.counts["no_crash"]["error"] == 1
    assert sum(report.counts["no_crash"].values()) < 40


def test_a_finding_that_fresh_processes_disagree_about_is_flaky_and_no_failure(bench: Bench):
    stub = Stub(images_fail)
    stub.fresh = lambda _: failing("images") if len(stub.confirmed) == 1 else PASS
    report = bench(stub)
    (finding,) = report.findings
    assert (finding.failed, finding.runs, finding.status) == (1, 3, "flaky")
    assert report.exit_code == 0
    (name,) = bench.saved()
    assert name.startswith("qwen2_vl/flaky/no_crash-")
    assert regression.regressions_in(bench.folder) == []


def test_failing_in_another_way_does_not_confirm(bench: Bench):
    report = bench(Stub(images_fail, fresh=lambda _: failing("something else")))
    assert [(f.failed, f.status) for f in report.findings] == [(0, "flaky")]


def test_ctrl_c_while_shrinking_keeps_the_smallest_case_so_far_unconfirmed(bench: Bench):
    def check(case: Case) -> Outcome:
        if stub.checked[:-1] and any(has_images(c) for c in stub.checked[:-1]):
            attempts = len(stub.checked) - first_failure()
            if attempts == 3:
                raise KeyboardInterrupt
        return images_fail(case)

    def first_failure() -> int:
        return next(i for i, c in enumerate(stub.checked) if has_images(c))

    stub = Stub(check)
    report = bench(stub)
    assert report.interrupted
    (finding,) = report.findings
    assert (finding.status, finding.complete) == ("unconfirmed", False)
    assert stub.confirmed == []
    assert has_images(finding.case)
    assert len(bench.saved()) == 1
    assert bench.found[0].path is not None
    assert report.exit_code == 1


def test_ctrl_c_while_confirming_keeps_the_minimal_case_unconfirmed(bench: Bench):
    def fresh(_: Case) -> Outcome:
        raise KeyboardInterrupt

    report = bench(Stub(images_fail, fresh=fresh))
    assert report.interrupted
    assert [(f.case, f.status) for f in report.findings] == [(ONE_IMAGE, "unconfirmed")]


def test_ctrl_c_before_any_failure_could_not_judge(bench: Bench):
    def check(_: Case) -> Outcome:
        raise KeyboardInterrupt

    report = bench(Stub(check), properties=("no_crash", "causality"))
    assert report.interrupted
    assert list(report.counts) == ["no_crash"]
    assert report.exit_code == 3


def test_no_more_workers_ends_the_run_with_what_was_found(bench: Bench):
    def fresh(_: Case) -> Outcome:
        raise SetupProblem("broken", "no worker could be forked")

    report = bench(Stub(images_fail, fresh=fresh), properties=("no_crash", "causality"))
    assert report.fatal == "no worker could be forked"
    assert [f.status for f in report.findings] == ["unconfirmed"]
    assert list(report.counts) == ["no_crash"]


def test_no_more_workers_at_once_is_exit_code_3(bench: Bench):
    def check(_: Case) -> Outcome:
        raise SetupProblem("broken", "no worker could be forked")

    report = bench(Stub(check))
    assert (report.fatal, report.exit_code) == ("no worker could be forked", 3)


def test_a_second_failure_met_while_shrinking_is_pursued_too(bench: Bench):
    # Nothing that is drawn fails this way: only the cases that minimization tries do.
    def check(case: Case) -> Outcome:
        if case == ONE_IMAGE:
            return failing("smallest image")
        return images_fail(case)

    report = bench(Stub(check), cases=15)
    by_name = {f.signature.what: f for f in report.findings}
    assert set(by_name) == {"images", "smallest image"}
    assert by_name["smallest image"].case == ONE_IMAGE
    assert by_name["images"].case != ONE_IMAGE
    assert all(f.status == "confirmed" for f in report.findings)
    assert len(bench.saved()) == 2


def test_several_failures_are_several_findings_each_smallest(bench: Bench):
    def check(case: Case) -> Outcome:
        if case.cache == "static":
            return failing("static")
        return images_fail(case)

    report = bench(Stub(check))
    found = {f.signature.what: f.case for f in report.findings}
    assert found == {"images": ONE_IMAGE, "static": STATIC}


def test_a_finding_of_an_earlier_property_is_not_found_again(bench: Bench):
    report = bench(Stub(images_fail), properties=("no_crash", "batch_invariance"))
    assert [f.property for f in report.findings] == ["no_crash"]
    assert report.counts["batch_invariance"]["error"] > 0


def test_cases_that_could_not_be_judged_are_exit_code_3(bench: Bench):
    report = bench(Stub(lambda _: Outcome("broken", "the worker's answer is no outcome")))
    assert report.broken == ("the worker's answer is no outcome",)
    assert report.counts == {"no_crash": {"broken": 40}}
    assert report.findings == ()
    assert report.exit_code == 3


def test_a_finding_outweighs_what_could_not_be_judged(bench: Bench):
    def check(case: Case) -> Outcome:
        return Outcome("broken", "b") if case.cache == "static" else images_fail(case)

    report = bench(Stub(check))
    assert report.broken == ("b",)
    assert report.exit_code == 1


def test_a_refusal_is_no_finding(bench: Bench):
    report = bench(Stub(lambda _: Outcome("reject", "no")))
    assert (report.findings, report.exit_code) == ((), 0)


def test_the_shrink_budget_ends_minimization_with_the_best_case_so_far(bench: Bench):
    report = bench(Stub(images_fail), shrink_attempts=3)
    (finding,) = report.findings
    assert (finding.attempts, finding.complete) == (3, False)
    assert finding.status == "confirmed"
    assert has_images(finding.case)


def test_events_come_in_order_and_count_every_case(bench: Bench):
    bench(Stub(lambda _: PASS), cases=5)
    assert isinstance(bench.events[0], RunStarted)
    assert isinstance(bench.events[-1], PropertyDone)
    progress = [e for e in bench.events if isinstance(e, Progress)]
    assert [(e.done, e.planned) for e in progress] == [(n, 5) for n in range(1, 6)]


def test_a_preloaded_process_with_threads_is_pointed_out(bench: Bench):
    bench(Stub(lambda _: PASS, threads=4), cases=1)
    assert [e.text for e in bench.events if isinstance(e, Notice)] == [
        "the preloaded process has 4 threads; forked workers may hang"
    ]


def test_what_a_target_cannot_check_is_pointed_out(bench: Bench):
    bench(Stub(lambda _: PASS, unchecked=("x is not compared",)), cases=1)
    assert [e.text for e in bench.events if isinstance(e, Notice)] == ["x is not compared"]


def test_time_is_shared_out_over_the_properties(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    # A clock of our own: each case takes one second.
    stub = Stub(lambda _: PASS)
    monkeypatch.setattr("fuzz.engine.time.monotonic", lambda: float(len(stub.checked)))
    report = bench(stub, cases=0, seconds=30.0, properties=("no_crash", "causality"))
    assert {k: sum(v.values()) for k, v in report.counts.items()} == {
        "no_crash": 15,
        "causality": 15,
    }


def test_a_run_that_checked_nothing_could_not_judge(bench: Bench):
    report = bench(Stub(lambda _: PASS), cases=0, seconds=1e-9)
    assert report.counts == {"no_crash": {}}
    assert report.exit_code == 3
