"""A run: what fails is minimized, confirmed, saved and told, whatever happens on the way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from fuzz import engine, ledger, regression
from fuzz.errors import UsageProblem
from fuzz.events import Event, Found, KnownSeen, Notice, Progress, PropertyDone, RunStarted
from fuzz.isolation.errors import SetupProblem
from fuzz.isolation.supervisor import Supervisor
from fuzz.isolation.told import LateDeath, Ran, Ready
from fuzz.session import Options, Report
from fuzz.target import Target
from fuzz.verdict import Outcome, Signature
from strategies.case import Case, Image, Text, has_images
from strategies.geometry import geometry_to_plain
from strategies.tests.examples import QWEN2_VL

Check = Callable[[Case], Outcome]
PASS = Outcome("pass")
ONE_IMAGE = Case(rows=((Image(1, 1),),))
STATIC = Case(cache="static")


def failing(what: str) -> Outcome:
    return Outcome("error", f"{what} broke", Signature("no_crash", "error", what))


def images_fail(case: Case) -> Outcome:
    return failing("images") if has_images(case) else PASS


@dataclass
class Stub:
    """A supervisor without processes."""

    answer: Check
    fresh: Check | None = None
    threads: int = 1
    unchecked: tuple[str, ...] = ()
    not_applicable: dict[str, str] = field(default_factory=dict)
    checked: list[Case] = field(default_factory=list)
    confirmed: list[Case] = field(default_factory=list)
    late: list[LateDeath] = field(default_factory=list)
    lingered: list[float] = field(default_factory=list)
    predecessor: Ran | None = None
    in_hand: Ran | None = None
    replaced: int = 0

    def start(self) -> Ready:
        info = {
            "geometry": geometry_to_plain(QWEN2_VL),
            "unchecked": self.unchecked,
            "not_applicable": self.not_applicable,
        }
        return Ready({"transformers": "5.0.0", "torch": "2.9"}, info, 1, 0.5, self.threads)

    def check(self, _: str, case: Case) -> Outcome:
        self.checked.append(case)
        return self.answer(case)

    def check_fresh(self, _: str, case: Case, linger: float = 0.0) -> Outcome:
        self.confirmed.append(case)
        self.lingered.append(linger)
        return (self.fresh or self.answer)(case)

    def explain(self, _: str, case: Case) -> list[tuple[str, str]]:
        return [("begins at", f"row {len(case.rows)}")]

    def late_deaths(self, _linger: float = 0.0) -> list[LateDeath]:
        late, self.late = self.late, []
        return late

    def replace(self) -> None:
        self.replaced += 1


@dataclass
class Bench:
    """Runs the engine on a stub and keeps what it told."""

    folder: Path
    events: list[Event] = field(default_factory=list)

    def __call__(self, stub: Stub, **options: Any) -> Report:
        given = {"properties": ("no_crash",), "cases": 40, "seed": 1, "save_to": self.folder}
        return engine.run(
            cast(Supervisor, stub), Target(), Options(**{**given, **options}), self.events.append
        )

    @property
    def found(self) -> list[Found]:
        return [e for e in self.events if isinstance(e, Found)]

    def saved(self) -> list[str]:
        return sorted(str(p.relative_to(self.folder)) for p in self.folder.rglob("*.json"))


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    # The shipped ledger is upstream's business, not these tests'.
    monkeypatch.setattr(ledger, "shipped", lambda: ())
    return Bench(tmp_path / "saves")


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


def entry(**changes: Any) -> ledger.Entry:
    given: dict[str, Any] = {
        "id": "known-images",
        "families": ("qwen2_vl",),
        "signatures": (Signature("no_crash", "error", "images"),),
        "reason": "r",
        "evidence": "e",
        "url": "",
        "affects": ">=4",
        "first_seen": "2026-01-01",
        "last_seen": "2026-01-01",
    }
    return ledger.Entry(**{**given, **changes})


def test_a_known_failure_is_no_finding_and_does_not_stop_the_search(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(ledger, "shipped", lambda: (entry(),))

    def check(case: Case) -> Outcome:
        return failing("static") if case.cache == "static" else images_fail(case)

    report = bench(Stub(check))
    assert [f.signature.what for f in report.findings] == ["static"]
    assert report.known == ("known-images",)
    assert sum(report.counts["no_crash"].values()) == 40
    # Told once, however often it is met.
    assert [e.entry.id for e in bench.events if isinstance(e, KnownSeen)] == ["known-images"]
    (done,) = (e for e in bench.events if isinstance(e, PropertyDone))
    assert done.known > 1


def test_only_known_failures_is_exit_code_0(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ledger, "shipped", lambda: (entry(),))
    report = bench(Stub(images_fail))
    assert report.counts["no_crash"]["error"] > 0
    assert (report.findings, report.exit_code) == ((), 0)


def test_shrinking_does_not_slip_into_what_the_ledger_expects(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
):
    known = entry(when={"cache": "dynamic"})
    monkeypatch.setattr(ledger, "shipped", lambda: (known,))
    report = bench(Stub(images_fail), cases=100)
    assert [f.case for f in report.findings] == [Case(rows=((Image(1, 1),),), cache="static")]


def test_the_users_own_ledger_counts(bench: Bench):
    bench.folder.mkdir()
    text = (
        '{"format_version": 1, "known": [{"id": "mine", "family": "qwen2_vl", "signatures": '
        '[{"property": "no_crash", "verdict": "error", "what": "images"}], "reason": "r", '
        '"evidence": "e", "url": "", "affects": "", "first_seen": "2026-01-01", '
        '"last_seen": "2026-01-01"}]}'
    )
    (bench.folder / "ledger.json").write_text(text)
    report = bench(Stub(images_fail))
    assert (report.known, report.findings) == (("mine",), ())


def test_a_bad_ledger_of_the_user_is_wrong_use(bench: Bench):
    bench.folder.mkdir()
    (bench.folder / "ledger.json").write_text("{")
    with pytest.raises(UsageProblem, match=r"ledger\.json: not JSON"):
        bench(Stub(images_fail))


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


def test_a_finding_that_cannot_be_saved_is_told_all_the_same(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
):
    def save(*_: object) -> tuple[Path, bool]:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(regression, "save", save)
    report = bench(Stub(images_fail))
    (found,) = bench.found
    assert found.path is None
    assert "could not be saved" in found.note
    assert "No space left on device" in found.note
    assert [f.case for f in report.findings] == [ONE_IMAGE]
    assert report.exit_code == 1


def test_a_folder_that_becomes_a_file_while_the_run_lasts_loses_no_finding(bench: Bench):
    def check(case: Case) -> Outcome:
        if bench.folder.is_dir():
            bench.folder.rmdir()
            bench.folder.write_text("in the way")
        return images_fail(case)

    report = bench(Stub(check))
    assert [f.case for f in report.findings] == [ONE_IMAGE]
    assert bench.found[0].path is None
    assert "could not be saved" in bench.found[0].note


def test_a_finding_saved_before_is_said_to_be(bench: Bench):
    bench(Stub(images_fail))
    bench(Stub(images_fail))
    first, second = bench.found
    assert first.path == second.path
    assert (first.note, second.note) == ("", "saved before, with a case no larger")


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


def spoilt(marker: str) -> Outcome:
    return Outcome("crash", f"died of {marker}", Signature("no_crash", "crash", marker))


def test_what_a_spoilt_process_claims_is_looked_for_in_fresh_ones(bench: Bench):
    """After its first image the process fails on everything; fresh ones fail on images only."""
    seen: list[Case] = []

    def polluted(case: Case) -> Outcome:
        if has_images(case):
            seen.append(case)
        return failing("images") if seen else PASS

    stub = Stub(polluted, fresh=images_fail)
    report = bench(stub)
    (finding,) = report.findings
    assert finding.case == ONE_IMAGE
    assert (finding.failed, finding.runs, finding.complete) == (3, 3, True)
    assert stub.replaced == 1
    assert report.exit_code == 1


def test_a_death_that_the_case_before_had_caused_is_laid_to_that_one(bench: Bench):
    culprit = Case(rows=((Image(56, 56),),), decode=1)
    stub = Stub(
        lambda c: spoilt("SIGSEGV") if c.cache == "static" else PASS,
        fresh=lambda c: spoilt("SIGSEGV") if has_images(c) else PASS,
        predecessor=Ran("no_crash", culprit),
    )
    (finding,) = bench(stub).findings
    assert finding.first == culprit
    assert finding.case == ONE_IMAGE
    assert finding.status == "confirmed"
    assert max(stub.lingered) > 0


def test_what_no_fresh_process_shows_is_flaky_with_its_counts(bench: Bench):
    stub = Stub(
        lambda c: spoilt("SIGSEGV") if c.cache == "static" else PASS,
        fresh=lambda _: PASS,
        predecessor=Ran("cache_agreement", Case()),
    )
    report = bench(stub)
    (finding,) = report.findings
    assert (finding.status, finding.failed, finding.runs) == ("flaky", 0, 3)
    assert report.exit_code == 0


def test_a_process_that_dies_after_its_answer_is_a_finding(bench: Bench):
    late = LateDeath(Ran("no_crash", Case(rows=((Image(56, 56),),))), spoilt("SIGABRT"))
    stub = Stub(
        lambda _: PASS, fresh=lambda c: spoilt("SIGABRT") if has_images(c) else PASS, late=[late]
    )
    report = bench(stub)
    (finding,) = report.findings
    assert (finding.case, finding.status) == (ONE_IMAGE, "confirmed")
    assert min(stub.lingered) > 0
    assert report.exit_code == 1


def test_ctrl_c_while_a_late_death_is_looked_at_keeps_it(bench: Bench):
    def stop(_: Case) -> Outcome:
        raise KeyboardInterrupt

    late = LateDeath(Ran("no_crash", ONE_IMAGE), spoilt("SIGABRT"))
    report = bench(Stub(lambda _: PASS, fresh=stop, late=[late]))
    (finding,) = report.findings
    assert (finding.case, finding.status) == (ONE_IMAGE, "unconfirmed")
    assert report.interrupted


def test_a_late_death_that_does_not_happen_again_is_flaky(bench: Bench):
    late = LateDeath(Ran("cache_agreement", ONE_IMAGE), spoilt("SIGKILL"))
    stub = Stub(lambda _: PASS, late=[late])
    (finding,) = bench(stub).findings
    assert (finding.status, finding.failed, finding.runs) == ("flaky", 0, 3)
    assert finding.property == "cache_agreement"


def test_what_was_met_while_another_failure_was_made_small_survives_ctrl_c(bench: Bench):
    met: list[Case] = []

    def check(case: Case) -> Outcome:
        if has_images(case):
            met.append(case)
            return failing("images")
        if not met:
            return PASS
        if len(met) > 2:
            raise KeyboardInterrupt
        return failing("text")

    report = bench(Stub(check))
    assert {f.signature.what for f in report.findings} == {"images", "text"}
    assert {f.status for f in report.findings} == {"unconfirmed"}
    assert len(bench.saved()) == 2
    assert report.interrupted


def test_ctrl_c_while_looking_in_fresh_processes_keeps_the_finding(bench: Bench):
    asked: list[Case] = []

    def fresh(case: Case) -> Outcome:
        asked.append(case)
        if len(asked) > 3:
            raise KeyboardInterrupt
        return PASS

    report = bench(Stub(images_fail, fresh=fresh))
    (finding,) = report.findings
    assert (finding.failed, finding.runs) == (0, 3)
    assert report.interrupted


def test_what_else_is_met_while_a_late_death_is_made_small_is_pursued_too(bench: Bench):
    def fresh(case: Case) -> Outcome:
        if has_images(case):
            return spoilt("SIGABRT")
        return failing("text") if case.decode else PASS

    decoded = Case(rows=((Image(56, 56), Text(3)),), decode=1)
    late = LateDeath(Ran("cache_agreement", decoded), spoilt("SIGABRT"))
    plain = Stub(lambda c: PASS if has_images(c) else fresh(c), fresh=fresh, late=[late])
    report = bench(plain)
    assert {f.signature.what for f in report.findings} == {"SIGABRT", "text"}
    assert {f.status for f in report.findings} == {"confirmed"}


def test_late_deaths_that_are_left_when_a_run_is_stopped_are_kept(bench: Bench):
    late = [LateDeath(Ran("no_crash", ONE_IMAGE), spoilt(name)) for name in ("SIGABRT", "SIGSEGV")]

    def stop(_: Case) -> Outcome:
        raise KeyboardInterrupt

    report = bench(Stub(lambda _: PASS, fresh=stop, late=late))
    assert {f.signature.what for f in report.findings} == {"SIGABRT", "SIGSEGV"}
    assert {f.status for f in report.findings} == {"unconfirmed"}


def test_an_error_of_our_own_ends_the_run_and_keeps_what_was_found(bench: Bench):
    met: list[Case] = []

    def check(case: Case) -> Outcome:
        if not has_images(case):
            return PASS
        met.append(case)
        if len(met) > 2:
            raise OSError(24, "Too many open files")
        return failing("images")

    report = bench(Stub(check))
    (finding,) = report.findings
    assert finding.status == "unconfirmed"
    assert report.fatal == "OSError: [Errno 24] Too many open files"
    assert report.exit_code == 1


def test_an_error_without_a_text_is_told_too(bench: Bench):
    def check(_: Case) -> Outcome:
        raise MemoryError

    report = bench(Stub(check))
    assert report.fatal == "MemoryError: "
    assert report.exit_code == 3


def test_a_run_that_checked_nothing_could_not_judge(bench: Bench):
    report = bench(Stub(lambda _: PASS), cases=0, seconds=1e-9)
    assert report.counts == {"no_crash": {}}
    assert report.exit_code == 3
