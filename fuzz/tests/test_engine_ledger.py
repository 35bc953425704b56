"""A run and the ledger: what is known is told once and stops nothing."""

from __future__ import annotations

import pytest

from fuzz import ledger
from fuzz.errors import UsageProblem
from fuzz.events import KnownSeen, PropertyDone
from fuzz.tests.stub_run import Bench, Stub, entry, failing, images_fail
from fuzz.verdict import Outcome
from strategies.case import Case, Image


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
