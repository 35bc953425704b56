"""A run over processes that an earlier case has spoilt, or that die after their answer."""

from __future__ import annotations

from fuzz.isolation.told import LateDeath, Ran
from fuzz.tests.stub_run import ONE_IMAGE, PASS, Bench, Stub, failing, images_fail
from fuzz.verdict import Outcome, Signature
from strategies.case import Case, Image, Text, has_images


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
        # What dies has no image itself, or it would be to blame.
        lambda c: spoilt("SIGSEGV") if c.cache == "static" and not has_images(c) else PASS,
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
